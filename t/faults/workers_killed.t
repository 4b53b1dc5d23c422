# Workers are killed beside a writer, under load: what they held of the store is
# given back, so that the writer can use pages again and the file stays small.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use POSIX ();
use Test::More;

use Exports::Faults;
use Exports::Test;

my $KILLS = strength(8, 100);
my $N = 200;

plan tests => 8;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
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

sub lines {
    my ($g) = @_;
    return map { project_line(project => 'demo', id => "exp_$_",
                              table => "generation_$g") } 1 .. $N;
}

my $store = $t->store('store', lines(0));
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));
my $uri = '/projects/demo/exports?limit=500';

$t->run;

# a commit replaces all exports, and the writer makes one after the other

my $writer = Exports::Faults->load($t, 1, sub {
    my ($client) = @_;
    $t->load($store, lines(++$client->{generation}));
    $client->{answers}++;
});

my $load = Exports::Faults->load($t, 3, sub {
    my ($client) = @_;
    my $r = $client->ask($uri, @auth, lost => 1);

    if ($r) {
        my %seen = map { $_ => 1 } $r->body =~ /"table":"generation_(\d+)"/g;

        $client->fault('not whole: ' . $r->raw)
            if $r->status != 200 || $N != (my @ids = ids($r)) || total($r) != $N;
        $client->fault('of ' . keys(%seen) . ' generations') if keys %seen != 1;
    }

    $r = $client->ask('/other/', lost => 1);
    $client->fault('another location: ' . $r->raw)
        if $r && ($r->status != 200 || $r->body ne 'other');
});

# what the file needs when nobody is killed

$writer->rounds(5);
my $normal = -s "$store/data.mdb";

$t->allow_log(qr/exited on signal 9/);

for my $kill (1 .. $KILLS) {
    my ($pid) = $t->workers;

    kill 'KILL', $pid;
    wait_for { 2 == grep { $_ != $pid } $t->workers };
    $load->rounds(2);
}

$writer->rounds(5);

my $report = $load->stop;
no_faults($report, "$KILLS killed workers: each answer is right");
note explain $report->{counts};
cmp_ok $report->{counts}{lost} // 0, '<=', 3 * $KILLS,
       'of each client at most the request under way is lost';

ok wait_for(sub {
    my %worker = map { $_ => 1 } $t->workers;
    return !grep { !$worker{$_} && !-e "/proc/$_" } slots($store);
}), 'slots of killed workers are reclaimed'
    or diag join ' ', slots($store), 'workers:', $t->workers;

# pages that were pinned until then are used again now

my $high = -s "$store/data.mdb";
$writer->rounds(strength(5, 30));
my $later = -s "$store/data.mdb";
my $written = $writer->stop;
no_faults($written, 'the writer goes on');
note "$normal bytes at first, then $high, at last $later";

cmp_ok $later, '<=', $high + $normal, 'the file grows no more';
cmp_ok $later, '<', 12 * $normal, 'and is small';
like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'the store is sound';

$t->done;
