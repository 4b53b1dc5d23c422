# A store is replaced by what is none, under load: 503 there and nowhere else,
# also for the workers of a reload; it recovers when it is put right.  What the
# log says of each, and a start with such files: store.t.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use POSIX ();
use Test::More;

use Exports::Faults;
use Exports::Test;

my $ROUNDS = strength(1, 5);

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ {
            exports_api project;
            exports_store %%DIR%%/current check=20ms;
        }
        location /sound/ { exports_api project; exports_store %%DIR%%/good; }
        location /other/ { return 200 other; }
    }
}
EOC

my $token = 'pat_of_all';
my @auth = (Authorization => "Bearer $token");
my $uri = 'demo/exports';
my $good = generation($t, 'good', 30, $token);
my $data = $t->read_file("$good/data.mdb");

# the same change to both meta pages

my $page = 4096;

sub patched {
    my ($at, $bytes) = @_;
    my $copy = $data;
    substr $copy, $_ + $at, length $bytes, $bytes for 0, $page;
    return $copy;
}

my @bad = (
    [truncated => substr $data, 0, length($data) / 2],
    ['the meta pages only' => substr $data, 0, 2 * $page],
    [short => substr $data, 0, 100],
    ['page size zero' => patched(16 + 24, pack 'L', 0)],
    [fifo => undef],
    [empty => ''],
    [garbage => join '', map { chr rand 256 } 1 .. 16 * $page],
    ['of LMDB 1.0' => patched(16 + 4, pack 'L', 2)],
    ['root behind the end' => patched(16 + 24 + 48 + 40, pack 'Q', 1 << 40)],
    ['a loop' => endless($data)],
    ['an assertion' => one_key($data)],
);

plan tests => 4 * @bad * $ROUNDS + 3;

put_link($t, 'good', 'current');
$t->allow_log(qr{"[^"]*/(?:current|bad_\d+)});
$t->run;

my $right = masked($t->get("/projects/$uri", @auth)->body);
ok json($right)->{data}{total} == 30, 'served at first';

my $load = Exports::Faults->load($t, 2, sub {
    my ($client) = @_;
    my $r = $client->ask("/projects/$uri", @auth);

    if ($r && $r->status == 503) {
        my $json = $r->json || {};
        $client->fault('not our 503: ' . $r->raw)
            if ($json->{error}{code} // '') ne 'store_unavailable'
               || !$r->header('Retry-After');
    } elsif ($r) {
        $client->fault('not right: ' . $r->raw)
            if $r->status != 200 || masked($r->body) ne $right;
    }

    $client->count($r->status) if $r;

    $r = $client->ask("/sound/$uri", @auth);
    $client->fault('another store: ' . $r->raw)
        if $r && ($r->status != 200
                  || masked($r->body) ne $right =~ s{/projects/}{/sound/}gr);

    $r = $client->ask('/other/');
    $client->fault('another location: ' . $r->raw)
        if $r && ($r->status != 200 || $r->body ne 'other');
});

# the status of both workers, several times
sub all_answer {
    my ($status) = @_;
    return wait_for {
        !grep { $t->get("/projects/$uri", @auth)->status != $status } 1 .. 6;
    } 10;
}

sub logged { scalar(() = $t->error_log =~ /cannot be used: "/g) }

my $n = 0;

for my $round (1 .. $ROUNDS) {
    for (@bad) {
        my ($kind, $text) = @$_;
        my $name = 'bad_' . ++$n;
        my $path = $t->path($name);

        mkdir $path or die "mkdir: $!";
        chmod 02770, $path;
        defined $text ? $t->write_file("$path/data.mdb", $text)
                      : POSIX::mkfifo("$path/data.mdb", 0660)
            or die "$path: $!";

        my $logged = logged();
        put_link($t, $name, 'current');
        ok all_answer(503), "$kind: 503";
        $t->reload;
        ok all_answer(503), "$kind: 503 after a reload";
        cmp_ok logged(), '>', $logged, "$kind: a reason in the log";

        put_link($t, 'good', 'current');
        ok all_answer(200), "$kind: recovers";
    }
}

my $report = $load->stop;
no_faults($report, 'clients: right or 503, other locations served');
note explain $report->{counts};

$t->done;
