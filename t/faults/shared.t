# Two paths lead to one store, which is damaged while it is read and mended
# again: one of them notices first, and the files are not opened anew before the
# other has let go of them, for with the old the new locks would go.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Exports::Faults;
use Exports::Test;

# each time files are given up they are left alone for twice as long

my $ROUNDS = strength(2, 4);

plan tests => 5 * $ROUNDS + 1;

my $t = Exports::Test->new;

# the second looks at its files when it is asked, or told

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /first/ {
            exports_api project;
            exports_store %%DIR%%/store check=10ms;
        }
        location /second/ {
            exports_api project;
            exports_store %%DIR%%/link check=1h;
        }
    }
}
EOC

my $token = 'pat_of_all';
my @auth = (Authorization => "Bearer $token");
my $store = generation($t, 'store', 20, $token);
my $data = $t->read_file("$store/data.mdb");

put_link($t, 'store', 'link');
$t->allow_log(qr{/(?:store|link)\b});
$t->run;

my ($worker) = $t->workers;

sub status { $t->get("/$_[0]/demo/exports", @auth)->status }

sub overwrite {
    my ($text) = @_;
    open my $fh, '+<:raw', "$store/data.mdb" or die "open: $!";
    print $fh $text;
    close $fh or die "close: $!";
}

for my $round (1 .. $ROUNDS) {
    is join(' ', map { status($_) } qw(first second)), '200 200',
       "round $round: served";

    # what LMDB itself looks up, the root of a database: a loop

    overwrite(endless(recounted($data, 'facets')));
    is status('first'), 503, 'damaged';

    overwrite($data);
    ok wait_for(sub { status('first') == 200 }), 'mended';
    ok wait_for(sub { status('second') == 200 }), 'by the other path, too';

    # a command that opens the store frees the slots of the dead: the worker is
    # none, and has its slot after the next request

    status('first');
    $t->ctl_ok('stat', $store);
    is join(' ', slots($store)), $worker, 'the slot of a worker is its own';
}

$t->done;
