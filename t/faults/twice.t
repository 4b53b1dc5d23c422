# A symlink is swapped a second time while a worker opens what it led to after
# the first: to a store that the worker has open by another path.  LMDB must not
# open it again, for its locks would go with the first that is closed.  strace
# makes the worker wait at that place.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use POSIX ();
use Test::More;

use Exports::Faults;
use Exports::Power;
use Exports::Test;

my $missing = Exports::Power::missing();
plan skip_all => $missing if defined $missing;
plan tests => 9;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /swapped/ {
            exports_api project;
            exports_store %%DIR%%/current check=10ms;
        }
        location /direct/ {
            exports_api project;
            exports_store %%DIR%%/two check=10ms;
        }
    }
}
EOC

my $token = 'pat_of_all';
my @auth = (Authorization => "Bearer $token");

generation($t, $_, 5, $token) for qw(one two three);
put_link($t, 'one', 'current');
$t->run;

my ($worker) = $t->workers;

sub seen {
    my $r = $t->get("/$_[0]/demo/exports", @auth);
    return ($r->body =~ /"id":"exp_([a-z]+)_/)[0] // $r->status;
}

# how often the worker has the lock file of a store open
sub opened {
    my $file = $t->path("$_[0]/lock.mdb");
    return scalar grep { (readlink($_) // '') eq $file } glob "/proc/$worker/fd/*";
}

is join(' ', map { seen($_) } qw(swapped direct)), 'one two', 'two stores';
is opened('two'), 1, 'each is open once';

# the worker reads the link when it has looked at the files

my $log = $t->path('strace');
my $pid = fork // die "fork: $!";

if ($pid == 0) {
    open STDERR, '>', '/dev/null';
    exec 'strace', '-qq', '-o', $log, '-p', $worker, '-P', $t->path('current'),
         '-e', 'trace=readlink,readlinkat', '-e',
         'inject=readlink,readlinkat:delay_enter=1s:when=1'
        or POSIX::_exit(1);
}

wait_for { $t->read_file("/proc/$worker/status") =~ /^TracerPid:\s*[1-9]/m };
put_link($t, 'three', 'current');

my $c = $t->connect;
$c->send(Exports::Test::request_text('GET', '/swapped/demo/exports', @auth));
ok wait_for(sub { $t->read_file($log) =~ /readlink/ }), 'it opens another';
put_link($t, 'two', 'current');

my $r = $c->response('GET');
is $r->status, 200, 'answered';
$c->close;
kill 'TERM', $pid;
waitpid $pid, 0;

is opened('two'), 1, 'what it is swapped to meanwhile is not opened twice';
ok wait_for(sub { seen('swapped') eq 'two' }), 'it is served';
put_link($t, 'one', 'current');
ok wait_for(sub { seen('swapped') eq 'one' }), 'and left again';
seen('direct');
$t->ctl_ok('stat', $t->path('two'));
is join(' ', slots($t->path('two'))), $worker,
   'the worker keeps its slot in the other';

$t->done;
