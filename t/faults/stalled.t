# A worker is held up for minutes in the middle of an event, while others go on:
# then it goes by a time long before what they have noted in a zone.  Nobody is
# held up: a library that is loaded before tells the worker another time.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Exports::Faults;
use Exports::Test;

my $t = Exports::Test->new;
my ($library, $ahead) = map { $t->path($_) } 'clock.so', 'ahead';

$t->write_file('clock.c', <<'EOC');
#define _GNU_SOURCE

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile const long  *ahead;

__attribute__((constructor)) static void
look(void)
{
    void  *p;

    p = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED,
             open(getenv("AHEAD"), O_RDONLY), 0);

    if (p == MAP_FAILED) {
        abort();
    }

    ahead = p;
}

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
    int  rc;

    rc = (int) syscall(SYS_clock_gettime, clock, ts);

    if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE) {
        ts->tv_sec += *ahead;
    }

    return rc;
}
EOC

sub set_clock {
    my ($seconds) = @_;
    open my $fh, -e $ahead ? '+<:raw' : '>:raw', $ahead or die "$ahead: $!";
    print $fh pack 'q', $seconds;
    close $fh or die "close: $!";
}

my $cc = $ENV{CC} // 'cc';
system("$cc -shared -fPIC -O1 -o $library " . $t->path('clock.c')) == 0
    or plan skip_all => "$cc does not make a library";
plan tests => 8;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    exports_operation_zone runs:32k;
    exports_rate_zone rates:32k;
    exports_link_key_file %%DIR%%/key;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ {
            exports_api project;
            exports_operations runs;
        }
        location /exports {
            exports_api user;
            exports_rate_limit rates rate=2r/m;
        }
    }
}
EOC

$t->write_file('key', 'k' x 32);
chmod 0600, $t->path('key') or die "chmod: $!";
my $store = $t->store('store', project_line(project => 'demo', id => 'exp_1'),
                      user_line(user => 1, uuid => 'u-1'));
my @project = (Authorization => 'Bearer ' . $t->token($store,
                                                      project => 'demo'));
my @user = (Authorization => 'Bearer ' . $t->token($store, user => 1));

set_clock(600);

{
    local @ENV{'LD_PRELOAD', 'AHEAD'} = ($library, $ahead);
    $t->run;
}

sub run {
    my $answer = $t->get('/projects/demo/exports', @project,
                         'X-Operation-Key' => 'k', @_)->json;
    return join ' ', @$answer{qw(operation_grouping_status operation_run_id)};
}

sub rate {
    my $r = $t->get('/exports', @user);
    return join ' ', $r->status, $r->header('X-RateLimit-Remaining');
}

my @run = ('X-Operation-Run-Id' => 'r');

is run(@run), 'accepted_provided_run r', 'a run begins';
is rate(), '200 1', 'a window begins';

# ten minutes before that

set_clock(0);

is run(@run), 'accepted_provided_run r', 'a run of later is not idle';
is run(), 'continued_run r', 'and is the newest';
is rate(), '200 0', 'a window of later goes on';
is rate(), '429 0', 'and has its limit';

# and after it: the time of the last use is the later one

set_clock(600 + 300);
is run(@run), 'accepted_provided_run r', 'it is used on';

$t->done;
