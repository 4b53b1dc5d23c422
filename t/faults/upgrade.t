# The binary is replaced (USR2, then WINCH and QUIT) and replaced again, under
# load and while the store is written to: no request is lost, no commit is
# missed, and the store is not disturbed.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Exports::Faults;
use Exports::Test;

my $UPGRADES = strength(1, 20);
my $N = 60;

plan tests => 6 * $UPGRADES + 6;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
daemon on;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    exports_store %%DIR%%/store;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /other/ { return 200 other; }
    }
}
EOC

sub line {
    my ($n) = @_;
    return project_line(project => 'demo', id => "exp_$n",
                        created_at => stamp(1_700_000_000_000_000 + $n));
}

my $store = $t->store('store', map { line($_) } 1 .. $N);
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));
my $uri = '/projects/demo/exports';

$t->run;

# the newest of an answer that is the page of one commit
sub newest_of {
    my ($r) = @_;
    my @ids = ids($r);
    my ($newest) = ($ids[0] // '') =~ /^exp_(\d+)\z/ or return;

    return if $r->status != 200 || total($r) != $newest
              || "@ids" ne join ' ', map { "exp_$_" } reverse $newest - 49
                                                              .. $newest;
    return $newest;
}

my $n = $N;
my ($failed, $failure) = (0);

sub look {
    my $r = eval { $t->get($uri, @auth) };
    $r && (newest_of($r) // 0) == $n
        or $failed++, $failure = "not $n: " . ($r ? $r->raw : $@);
    return 1;
}

sub write_one {
    $n++;
    $t->load($store, line($n));
}

look();
is $failed, 0, 'before';

my $load = Exports::Faults->load($t, 2, sub {
    my ($client) = @_;
    my $r = $client->ask($uri, @auth);
    my $newest = $r ? newest_of($r) : undef;

    $client->fault('not whole: ' . $r->raw) if $r && !defined $newest;
    $client->fault("$newest after $client->{newest}")
        if $newest && $newest < ($client->{newest} // 0);
    $client->{newest} = $newest // $client->{newest};

    $r = $client->ask('/other/');
    $client->fault('another location: ' . $r->raw)
        if $r && ($r->status != 200 || $r->body ne 'other');
});

for my $upgrade (1 .. $UPGRADES) {
    my $old = $t->{pid};
    my @old_workers = $t->workers;
    my $new;

    # a new master beside the old one

    kill 'USR2', $old;
    ok wait_for(sub {
        look();
        ($new) = $t->read_file('nginx.pid') =~ /^(\d+)$/;
        return $new && $new != $old && -e $t->path('nginx.pid.oldbin');
    }), "upgrade $upgrade: a new master" or BAIL_OUT('no new master');

    $t->{pid} = $new;
    ok wait_for(sub { look(); scalar(my @workers = $t->workers) }),
       "upgrade $upgrade: and a new worker";
    isnt join(' ', $t->workers), "@old_workers", "upgrade $upgrade: another one";

    for (1 .. 10) {
        write_one();
        look();
        look();
    }

    # the old ones leave

    kill 'WINCH', $old;
    ok wait_for(sub { look(); !grep { -e "/proc/$_" } @old_workers }),
       "upgrade $upgrade: the old worker leaves";
    write_one();
    look();

    kill 'QUIT', $old;
    ok wait_for(sub { look(); $t->_ended($old) }),
       "upgrade $upgrade: the old master leaves";
    ok !-e $t->path('nginx.pid.oldbin'), "upgrade $upgrade: in order";

    write_one();
    look();
}

no_faults($load->stop, 'no request is lost, each answer is of one commit');
is $failed, 0, 'no commit was missed' or diag substr $failure, 0, 1000;

# the slots of those who have left are free: a writer can use the pages again

my %worker = map { $_ => 1 } $t->workers;
ok !(grep { !$worker{$_} } slots($store)), 'no slot of an old worker';
like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'the store is sound';

$t->done;
