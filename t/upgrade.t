# The binary is replaced under load (USR2, then QUIT): no request fails, and
# the store is not disturbed.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

plan tests => 12;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
daemon on;
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
    }
}
EOC

my $store = $t->store('store', project_line(project => 'demo', id => 'exp_1'));
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));

$t->run;

my ($n, $failed) = (1, 0);

sub look {
    my $r = eval { $t->get('/projects/demo/exports', @auth) };
    $failed++ if !$r || $r->status != 200 || total($r) != $n;
    return 1;
}

sub write_one {
    $n++;
    $t->load($store, project_line(project => 'demo', id => "exp_$n"));
}

look();
is $failed, 0, 'before';

# a new master beside the old one

my $old = $t->{pid};
my @old_workers = $t->workers;
my $new;

kill 'USR2', $old;
ok wait_for(sub {
    look();
    ($new) = $t->read_file('nginx.pid') =~ /^(\d+)$/;
    return $new && $new != $old && -e $t->path('nginx.pid.oldbin');
}), 'a new master' or BAIL_OUT('no new master');

# its workers

$t->{pid} = $new;
ok wait_for(sub { look(); scalar(my @workers = $t->workers) }),
   'and a new worker';
my @new_workers = $t->workers;
isnt "@new_workers", "@old_workers", 'another one';

for (1 .. 20) {
    write_one();
    look();
    look();
}
is $failed, 0, 'both serve, and see each commit';

# the old ones leave

kill 'WINCH', $old;
wait_for { look(); !grep { -e "/proc/$_" } @old_workers };
ok !(grep { -e "/proc/$_" } @old_workers), 'the old worker leaves';
write_one();
look();

kill 'QUIT', $old;
ok wait_for(sub { look(); $t->_ended($old) }), 'the old master leaves';
ok !-e $t->path('nginx.pid.oldbin'), 'in order';

for (1 .. 20) {
    write_one();
    look();
}
is $failed, 0, 'no request has failed, no commit was missed';

# the slots of those who have left are free: a writer can use the pages again

my $lock = $t->read_file('store/lock.mdb');
my @slots = grep { $_ } map { unpack 'l', substr $lock, 128 + 64 * $_ + 8, 4 }
                        0 .. 63;
ok !(grep { $_ == $old_workers[0] } @slots), 'no slot of the old worker';
like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'the store is sound';

$t->done;
