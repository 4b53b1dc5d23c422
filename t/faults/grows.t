# A writer lets a store grow to 64 times the map that nginx was told, with slow
# answers under way: they stay whole, and what was committed is seen.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Exports::Faults;
use Exports::Test;

my $BATCHES = 6;
my $SIZE = 64 << 20;

plan tests => 2 * $BATCHES + 6;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    exports_store %%DIR%%/store map_size=1m;
    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_slow%% sndbuf=64k;
        location /projects/ { exports_api project; }
        location /other/ { return 200 other; }
    }
}
EOC

# records near the limit of 16 KiB

my $n = 0;

sub big {
    my ($from, $to) = @_;
    return map { project_line(project => 'demo', id => "exp_$_",
        created_at => stamp(1_700_000_000_000_000 + $_),
        (map { $_ => 'x' x 1024 } qw(download_name content_type
                                     storage_backend)),
        map { $_ => "\x01" x 600 } qw(table status_reason)) } $from .. $to;
}

my $store = $t->store('store', big(1, $n = 20));
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));
my $uri = '/projects/demo/exports';

$t->run;

sub whole {
    my ($r, $limit, $newest) = @_;
    my @ids = ids($r);
    $newest //= total($r);
    return $r->status == 200 && total($r) == $newest
           && "@ids" eq join ' ', map { "exp_$_" }
                                  reverse $newest - $limit + 1 .. $newest;
}

my $load = Exports::Faults->load($t, 2, sub {
    my ($client) = @_;
    my $r = $client->ask("$uri?limit=5", @auth);

    $client->fault('not whole: ' . $r->raw) if $r && !whole($r, 5);
    $client->fault('back in time') if $r && total($r) < ($client->{seen} // 0);
    $client->{seen} = total($r) if $r;

    $r = $client->ask('/other/');
    $client->fault('another location: ' . $r->raw)
        if $r && ($r->status != 200 || $r->body ne 'other');
});

my @before = $t->workers;
my $step = int $SIZE / 4096 / 4 / $BATCHES + 1;

for my $batch (1 .. $BATCHES) {
    my $limit = $n < 200 ? $n : 200;
    my $was = $n;

    # asked for, and not yet read

    my @slow = map { $t->connect('slow') } 1 .. 4;
    $_->send(Exports::Test::request_text('GET', "$uri?limit=$limit", @auth))
        for @slow;
    for my $c (@slow) {
        wait_for { length $c->{in} or $c->_wait(0); length $c->{in} };
    }

    $t->load($store, big($n + 1, $n + $step));
    $n += $step;

    my @new = map { $t->get("$uri?limit=5", @auth) } 1 .. 6;
    is scalar(grep { whole($_, 5, $n) } @new), 6,
       "batch $batch: what was committed is seen";
    is scalar(grep { whole($_->response, $limit, $was) } @slow), 4,
       "batch $batch: slow answers are whole";
    $_->close for @slow;
}

cmp_ok -s "$store/data.mdb", '>=', $SIZE, 'it has grown';
no_faults($load->stop, 'clients: each answer is whole, none is old');
is "@{[$t->workers]}", "@before", 'no worker has died';
is json($t->ctl_ok('stat', $store, '--json'))->{entries}{manifests}, $n,
   'all is there';
like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'the store is sound';

$t->done;
