# Stores with random damage, under load: each request gets an error or an
# answer that is right to the last byte.  No worker dies, or reads forever, and
# other locations are served throughout.  CORRUPTIONS and CORRUPT_SEED say how
# many, and which: the same ones each time, unless told otherwise.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Exports::Faults;
use Exports::Test;
use Exports::User;

my $N = $ENV{CORRUPTIONS} || strength(120, 2000);
my $seed = $ENV{CORRUPT_SEED} // 100;

# Bytes may be overwritten between their checksum and their copy into an answer,
# microseconds later; no check of ours would know.  One answer in some 20,000 of a
# client that asks all the time was seen to be.
my $TORN = 2 + int $N / 1000;

plan tests => 13;
note "CORRUPT_SEED=$seed";
$Exports::Test::BOUND = 10;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    exports_store %%DIR%%/current map_size=64m check=1ms;
    exports_link_key_file %%DIR%%/key;
    exports_link_ttl 365d;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /exports { exports_api user; }
        location /other/ { return 200 other; }
    }
    server {
        listen 127.0.0.1:%%PORT_good%%;
        exports_store %%DIR%%/good;
        location /projects/ { exports_api project; }
    }
}
EOC

# several levels in each tree, long values, several projects

my $good = $t->store('good', map { project_line(
    project => 'demo' . $_ % 3, id => "exp_$_", status => $_ % 5 ? 'ready'
                                                                : 'not_found',
    download_name => 'x' x ($_ % 100 ? 30 : 1000),
    created_at => stamp(1_700_000_000_000_000 + $_ % 400)) } 1 .. 1500);

$t->load($good, map { user_line(
    user => 7, uuid => "0190-$_", status => $_ % 3 ? 'ready' : 'failed',
    requested_at => stamp(1_700_000_000_000_000 + $_ % 100)) } 1 .. 200);
key_file($t, 'key');

# nothing that an aborted or older transaction has left

my $token = 'pat_' . 'x' x 30;
$t->token($good, project => "demo$_", token => "$token$_") for 0 .. 2;
$t->token($good, user => 7, token => "${token}3");
$t->ctl_ok('backup', $good, $t->path('compact'));

my $data = $t->read_file('compact/data.mdb');

my @uris = map { my $p = $_; map { [$p, "/projects/demo$p/exports$_"] }
    '', '?limit=500', '?status=not_found&limit=20&offset=10',
    '?offset=350&limit=100', '?status=ready&limit=7&offset=77' } 0 .. 2;

push @uris, [3, '/exports?per_page=100'], [3, '/exports?page=2&per_page=100'],
            [3, '/exports?filter[status]=failed'];

symlink 'compact', $t->path('current') or die "symlink: $!";
$t->allow_log(qr/exports? (?:store|of)|of token|left out|\/(?:current|bad\.)/i);
$t->run;

my $c = $t->connect;
my @before = $t->workers;
my $open = $t->descriptors($before[0]);

sub ask {
    my ($uri) = @_;
    my ($p, $path) = @$uri;
    my $r = eval { $c->get($path, Authorization => "Bearer $token$p") };

    return $r if $r;
    $c = $t->connect;
    return;
}

my @right = map { masked(ask($_)->body) } @uris;
is scalar(grep { !eval { json($_) } } @right), 0, 'what is right is JSON';

# the items of a list as they are sent, and where each belongs

sub items {
    return $_[0] =~ /(\{"(?:uu)?id":".*?,"(?:expires_at|download_url)":
                      (?:null|"[^"]*")\})(?=[],])/gx;
}

my @place;

for my $p (0 .. 3) {
    my $n = 0;
    my @all = $p < 3 ? items($right[5 * $p + 1]) : map { items($_) }
                                                   @right[15, 16];
    $place[$p] = { map { $_ => ++$n } @all };
}

is "@{[map { scalar keys %$_ } @place]}", '500 500 500 200',
   'and has all items';

# whether a body is the right one, or lacks entries
sub is_genuine {
    my ($uri, $body) = @_;
    my ($p, $path) = @$uri;
    my ($limit) = $path =~ /(?:limit|per_page)=(\d+)/;
    my ($status) = $path =~ /status\]?=(\w+)/;
    my @items = items($body);
    my $last = 0;

    for (@items) {
        my $place = $place[$p]{$_} // return 0;
        return 0 if $place <= $last || $status && !/"status":"$status"/;
        $last = $place;
    }

    my $all = quotemeta join ',', @items;
    return 0 if @items > ($limit // 50);
    return $body =~ /^\{"data":\[$all\],"links":\{[^{}]*\},"meta":\{[^{}]*\}\}\z/
        if $p == 3;
    return $body =~ /^\{"ok":true,"data":\{"exports":\[$all\],"total":\d+,
                      "limit":\d+,"offset":\d+\},"error":null,
                      "request_id":"REQ","meta":\{"generated_at":"NOW"\}\}\z/x;
}

# "right", "lacking", "error" or what is wrong with an answer
sub kind_of {
    my ($i, $r) = @_;
    my $body = masked($r->body);

    # also a token that is damaged, or cannot be found any more

    return 'error' if $r->status =~ /^(?:401|500|503)\z/
                      && $body =~ /^\{"(?:ok":false,"data":null,"error
                                   |message":"[^"]+"\}\z)/x;
    return 'status ' . $r->status if $r->status != 200;
    return 'right' if $body eq $right[$i];
    return is_genuine($uris[$i], $body) ? 'lacking'
                                        : 'wrong: ' . substr $body, 0, 300;
}

is scalar(grep { !is_genuine($uris[$_], $right[$_]) } 0 .. $#uris), 0,
   'what is right is found to be';

# in place, as a failing disk does
sub overwrite {
    my ($path, $text) = @_;
    open my $fh, '+<:raw', $path or die "$path: $!";
    truncate $fh, length $text or die "truncate: $!";
    print $fh $text;
    close $fh or die "close: $!";
}

# one client for what must be served throughout, one for what is damaged

my $others = Exports::Faults->load($t, 1, sub {
    my ($client) = @_;
    my $i = int rand 15;
    my ($p, $path) = @{ $uris[$i] };
    my $r = $client->ask($path, port => 'good',
                         Authorization => "Bearer $token$p");

    $client->fault('another store: ' . $r->raw)
        if $r && ($r->status != 200 || masked($r->body) ne $right[$i]);

    $r = $client->ask('/other/');
    $client->fault('another location: ' . $r->raw)
        if $r && ($r->status != 200 || $r->body ne 'other');
});

my $load = Exports::Faults->load($t, 1, sub {
    my ($client) = @_;
    my $i = int rand @uris;
    my ($p, $path) = @{ $uris[$i] };
    my $r = $client->ask($path, Authorization => "Bearer $token$p") // return;
    my $kind = kind_of($i, $r);

    $client->count($kind =~ s/:.*//sr);
});

my (@wrong, @lost, %kinds);

for my $n (0 .. $N + 1) {
    my $round = 'CORRUPTIONS=1 CORRUPT_SEED=' . ($seed + $n - 2);

    last if @lost > 2 || @wrong > 20;

    srand $seed + $n - 2;

    my ($kind, $copy) = $n == 0 ? ('endless', endless($data))
                      : $n == 1 ? ('one key', one_key($data))
                      : damaged($data);

    # every other time it happens to a store that is being read

    my $live = $n > 1 && $n % 2;

    my $dir = $t->path("bad.$n");
    mkdir $dir or die "mkdir: $!";
    $t->write_file("$dir/data.mdb", $live ? $data : $copy);
    if ($t->user) {
        chown -1, (getpwnam $t->user)[3], $dir, "$dir/data.mdb";
        chmod 0640, "$dir/data.mdb";
        chmod 02770, $dir;
    }

    put_link($t, "bad.$n", 'current');

    # the swap is looked for when a millisecond has passed: an ETag tells
    # nothing here, so wait for the file to be mapped, or for an error

    my $r;
    wait_for {
        $r = ask($uris[0]);
        !$r || $r->status != 200 || grep {
            $t->read_file("/proc/$_/maps") =~ m{/bad\.$n/data\.mdb} } $t->workers
    } 2;

    if ($live) {
        overwrite("$dir/data.mdb", $copy);
    }

    for my $i (0 .. $#uris) {
        $r = ask($uris[$i]);

        if (!$r) {
            # a worker that reads forever would do nothing else
            push @lost, "$round: $uris[$i][1]";
            kill 'KILL', $t->workers;
            last;
        }

        my $kind_of = kind_of($i, $r);

        if ($kind_of =~ /^(?:right|lacking|error)\z/) {
            $kinds{$kind_of}++;
            note "lacks entries: $round, kind $kind: $uris[$i][1]"
                if $kind_of eq 'lacking';
        } else {
            push @wrong, "$round, kind $kind: $uris[$i][1]: $kind_of";
        }
    }

    unlink "$dir/data.mdb", "$dir/lock.mdb";
    rmdir $dir;
}

my $report = $load->stop;
no_faults($report, 'beside it: each request is answered');

my $torn = 0;
$torn += $report->{counts}{$_} // 0
    for grep { !/^(?:right|error)\z/ } keys %{ $report->{counts} };
cmp_ok $torn, '<=', $TORN, "beside it: $torn wrong answers";
no_faults($others->stop, 'other stores and locations are served');

ok !@lost, "$N damaged stores: each request is answered"
    or diag map { "$_\n" } @lost;
ok !@wrong, 'no wrong answer' or diag map { "$_\n" } @wrong;
is "@{[$t->workers]}", "@before", 'no worker has died';

$kinds{$_} //= 0 for qw(right lacking error);
is $kinds{lacking}, 0, "$kinds{right} right, $kinds{error} errors, no list "
                       . 'lacks entries';

# this one is served again when it is mended

put_link($t, 'compact', 'current');
ok wait_for(sub { my $r = ask($uris[1]);
                  $r && masked($r->body) eq $right[1] }, 10), 'mended';

cmp_ok $t->descriptors($before[0]), '<=', $open + 4, 'what was given up is closed';

$c->close;
$t->done;
