# Readers beside a writer: each answer is of one commit, none is lost, and
# what has been seen does not go back.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;

use Exports::Test;

my $COMMITS = 60;
my $N = 120;

plan tests => 12;

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
    }
}
EOC

# A commit of generation g replaces all exports: all have one status, one
# table, and other times than before; some come and go.
sub commit_lines {
    my ($g) = @_;
    return map { project_line(
        project => 'demo', id => "exp_$_", table => "generation_$g",
        status => $g % 2 ? 'ready' : 'not_found',
        created_at => stamp(1_700_000_000_000_000 + ($_ * ($g % 7 + 1)) % $N)) }
        1 .. $N;
}

my $store = $t->store('store', commit_lines(0));
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));

$t->run;

my $writer = fork // die "fork: $!";

if ($writer == 0) {
    my $parent = getppid;
    my $ok = eval {
        for my $g (1 .. $COMMITS) {
            last if getppid != $parent;
            $t->load($store, commit_lines($g));
            $t->write_file('done', $g);
        }
        1;
    };
    $t->write_file('failed', $@) if !$ok;
    POSIX::_exit($ok ? 0 : 1);
}

my @c = map { $t->connect } 1 .. 4;
my (%fault, %seen, $last);
my ($requests, $newest, $ended) = (0, 0, 0);

# Checks an answer to a request for a status; the generation that it shows.
sub look {
    my ($r, $status) = @_;
    my $body = $r->body;

    return $fault{'status ' . $r->status}++ if $r->status != 200;

    my %table = map { $_ => 1 } $body =~ /"table":"generation_(\d+)"/g;
    my @g = keys %table;
    my @ids = ids($r);
    my $total = total($r);

    return $fault{'several generations'}++ if @g > 1;

    if (!@g) {
        # all of them have the other status
        $fault{'an empty list'}++ if $status eq 'all' || $total != 0;
        return;
    }

    $fault{"total $total"}++ if $total != $N;
    $fault{"$status in generation $g[0]"}++
        if $status ne 'all' && $status ne ($g[0] % 2 ? 'ready' : 'not_found');

    my @want = sort { ($b * ($g[0] % 7 + 1)) % $N <=> ($a * ($g[0] % 7 + 1)) % $N
                      || tie("exp_$b") cmp tie("exp_$a") } 1 .. $N;
    $fault{'order'}++ if join(' ', @ids)
                         ne join ' ', map { "exp_$_" } @want[0 .. $#ids];

    $fault{'back in time'}++ if $g[0] < $newest;
    $newest = $g[0];
    $seen{ $g[0] }++;

    return $g[0];
}

my $end = time + 300;

while (!$ended && time < $end) {
    my $committed = $t->read_file('done') || 0;

    for my $c (@c) {
        my $status = (qw(all ready not_found))[$requests++ % 3];
        my $r = $c->get("/projects/demo/exports?limit=500&status=$status",
                        @auth);
        my $g = look($r, $status);

        # what was committed before the request is what it shows, at least
        $fault{'late'}++ if defined $g && $g < $committed;
    }

    $ended = waitpid($writer, POSIX::WNOHANG) == $writer;
}

my $status = $?;

if (!$ended) {
    kill 'KILL', $writer;
    waitpid $writer, 0;
}

ok $ended, 'the writer has ended';
is $status, 0, 'and written everything' or diag $t->read_file('failed');
ok !%fault, "$requests requests beside $COMMITS commits"
    or diag explain \%fault;
cmp_ok scalar(keys %seen), '>', 3, keys(%seen) . ' generations were seen';

for my $c (@c) {
    is look($c->get('/projects/demo/exports?limit=500', @auth), 'all'),
       $COMMITS, 'the last commit';
}
$_->close for @c;

# readers that end their snapshots let the writer use the pages again

my $stat = json($t->ctl_ok('stat', $store, '--json'));
cmp_ok -s "$store/data.mdb", '<', 4 << 20, 'the file has stayed small';
is $stat->{entries}{manifests}, $N, 'nothing is left behind';
like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'the store is sound';

$t->done;
