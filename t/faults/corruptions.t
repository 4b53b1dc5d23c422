# Stores with random damage: each request gets an error or an answer, of which
# each item is whole, of its project and in its place.  Entries of lists may be
# missing: they have no checksum, that is for exportsctl verify.  No worker
# dies, or reads forever.  CORRUPTIONS and CORRUPT_SEED say how many, and which:
# the same ones each time, unless told otherwise.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $N = $ENV{CORRUPTIONS} || 150;
my $seed = $ENV{CORRUPT_SEED} // 100;

plan tests => 7;
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
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
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

# nothing that an aborted or older transaction has left

my $token = 'pat_' . 'x' x 30;
$t->token($good, project => "demo$_", token => "$token$_") for 0 .. 2;
$t->ctl_ok('backup', $good, $t->path('compact'));

my $data = $t->read_file('compact/data.mdb');
my $page = 4096;
my $pages = length($data) / $page;

my @uris = map { my $p = $_; map { [$p, "/projects/demo$p/exports$_"] }
    '', '?limit=500', '?status=not_found&limit=20&offset=10',
    '?offset=350&limit=100', '?status=ready&limit=7&offset=77' } 0 .. 2;

symlink 'compact', $t->path('current') or die "symlink: $!";
$t->allow_log(qr/exports? (?:store|of)|\/(?:current|bad\.)/i);
$t->run;

my $c = $t->connect;
my @before = $t->workers;

sub ask {
    my ($uri) = @_;
    my ($p, $path) = @$uri;
    my $r = eval { $c->get($path, Authorization => "Bearer $token$p") };

    return $r if $r;
    $c = $t->connect;
    return;
}

my @right = map { masked(ask($_)->body) } @uris;

# the items of a list as they are sent, and where each belongs

sub items { $_[0] =~ /(\{"id":".*?,"expires_at":(?:null|"[^"]*")\})/g }

my @place;
for my $p (0 .. 2) {
    my $n = 0;
    $place[$p] = { map { $_ => ++$n } items($right[5 * $p + 1]) };
}

sub is_genuine {
    my ($uri, $body) = @_;
    my ($p, $path) = @$uri;
    my ($limit) = $path =~ /limit=(\d+)/;
    my ($status) = $path =~ /status=(\w+)/;
    my @items = items($body);
    my $last = 0;

    for (@items) {
        my $place = $place[$p]{$_} // return 0;
        return 0 if $place <= $last || $status && !/"status":"$status"/;
        $last = $place;
    }

    my $all = quotemeta join ',', @items;
    return @items <= ($limit // 50)
           && $body =~ /^\{"ok":true,"data":\{"exports":\[$all\],"total":\d+,
                        "limit":\d+,"offset":\d+\},"error":null,
                        "request_id":"REQ","meta":\{"generated_at":"NOW"\}\}\z/x;
}

is scalar(grep { !is_genuine($uris[$_], $right[$_]) } 0 .. $#uris), 0,
   'what is right is found to be';

my (%status, @wrong);
my @lost;
my $missing = 0;

# the root page of the main database as LMDB searches it for ever: one with
# values of no length (P_LEAF2), and fewer than no entries

sub endless {
    my ($root, $txn) = (0, 0);
    for my $meta (0, $page) {
        my ($r, undef, $t) = unpack 'QQQ', substr $data, $meta + 128, 24;
        ($root, $txn) = ($r, $t) if $t >= $txn;
    }
    my $copy = $data;
    substr $copy, $root * $page + 10, 4, pack 'SS', 0x22, 0;
    return $copy;
}

for my $n (0 .. $N) {
    my $round = 'CORRUPTIONS=1 CORRUPT_SEED=' . ($seed + $n - 1);

    last if @lost > 2 || @wrong > 20;

    srand $seed + $n - 1;

    my $copy = $data;
    my $kind = int rand 5;

    for (1 .. 1 + rand 3) {
        my $at = int rand 2 * $page;
        my $target = 2 + int rand $pages - 2;

        if ($kind == 0) {
            # a few bytes
            $at = $target * $page + int rand $page - 8;
            my $length = 1 + int rand 8;
            substr $copy, $at, $length,
                   join '', map { chr rand 256 } 1 .. $length;
        } elsif ($kind == 1) {
            # the head of a page, where LMDB's own structure is
            $at = $target * $page + int rand 40;
            substr $copy, $at, 2, pack 'S', rand 65536;
        } elsif ($kind == 2) {
            # a page in the place of another, or zeros
            substr $copy, $target * $page, $page,
                   rand() < 0.5
                       ? "\0" x $page
                       : substr $data, (2 + int rand $pages - 2) * $page, $page;
        } elsif ($kind == 3) {
            # the meta pages
            substr $copy, $at, 1, chr rand 256;
        } else {
            # all that follows is moved by some bytes
            $at = $target * $page + int rand $page;
            substr $copy, $at, 1, 'x' x (2 + rand 8);
        }
    }

    $copy = endless() if $n == 0;
    substr($copy, length $data) = '' if length $copy > length $data;

    my $dir = $t->path("bad.$n");
    mkdir $dir or die "mkdir: $!";
    $t->write_file("$dir/data.mdb", $copy);
    if ($t->user) {
        chown -1, (getpwnam $t->user)[3], $dir, "$dir/data.mdb";
        chmod 0640, "$dir/data.mdb";
        chmod 02770, $dir;
    }

    symlink "bad.$n", $t->path('new') or die "symlink: $!";
    rename $t->path('new'), $t->path('current') or die "rename: $!";

    # the swap is looked for when a millisecond has passed: an ETag tells
    # nothing here, so wait for the file to be mapped, or for an error

    my $r;
    wait_for {
        $r = ask($uris[0]);
        !$r || $r->status != 200 || grep {
            $t->read_file("/proc/$_/maps") =~ m{/bad\.$n/data\.mdb} } $t->workers
    } 2;

    for my $i (0 .. $#uris) {
        $r = ask($uris[$i]);

        if (!$r) {
            # a worker that reads forever would do nothing else
            push @lost, "$round: $uris[$i][1]";
            kill 'KILL', $t->workers;
            last;
        }

        $status{ $r->status }++;

        next if $r->status == 503
                || $r->status == 500 && ($r->json->{error}{code} // '') eq
                   'internal_error';

        # a damaged token, or one that cannot be found any more

        next if $r->status == 401;

        push @wrong, "$round, kind $kind: $uris[$i][1]: "
                     . substr masked($r->body), 0, 300
            if $r->status != 200 || !is_genuine($uris[$i], masked($r->body));
        $missing++ if $r->status == 200 && masked($r->body) ne $right[$i];
    }

    unlink "$dir/data.mdb", "$dir/lock.mdb";
    rmdir $dir;
}

note explain \%status;
note "answers that lack entries: $missing";
ok !@lost, "$N damaged stores: each request is answered"
    or diag map { "$_\n" } @lost;
ok !@wrong, 'no wrong answer' or diag map { "$_\n" } @wrong;
is "@{[$t->workers]}", "@before", 'no worker has died';

# other stores are served as before, and this one again when it is mended

is $t->get('/projects/demo0/exports', Authorization => "Bearer ${token}0",
           port => 'good')->status, 200, 'another store';

symlink 'compact', $t->path('new') or die "symlink: $!";
rename $t->path('new'), $t->path('current') or die "rename: $!";
ok wait_for(sub { my $r = ask($uris[1]);
                  $r && masked($r->body) eq $right[1] }, 10), 'mended';

$c->close;
$t->done;
