# The map of a store is full, because it is small or because a reader holds an
# old snapshot, under load: a clear error, nothing half done, readers as before;
# it goes on when there is room.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Exports::Faults;
use Exports::Test;

my $ROUNDS = strength(1, 10);
my $N = 200;
my @map = ('--map-size', '4m');

plan tests => 13 * $ROUNDS + 6;

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
    my ($g, $n) = @_;
    return join '', map { project_line(project => 'demo', id => "exp_$_",
                                       table => "g${g}_" . 'x' x 600) . "\n" }
                    1 .. $n // $N;
}

my $store = $t->path('store');
$t->ctl_ok('init', $store, @map);
$t->ctl_ok('import', $store, '-', @map, { stdin => lines(0) });

my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));
my $uri = '/projects/demo/exports?limit=500';

$t->run;

my $load = Exports::Faults->load($t, 2, sub {
    my ($client) = @_;
    my $r = $client->ask($uri, @auth);

    if ($r) {
        my %seen = map { $_ => 1 } $r->body =~ /"table":"g(\d+)_/g;
        $client->fault('not of one commit: ' . $r->raw)
            if $r->status != 200 || keys %seen != 1
               || total($r) != (my @ids = ids($r));
    }

    $r = $client->ask('/other/');
    $client->fault('another location: ' . $r->raw)
        if $r && ($r->status != 200 || $r->body ne 'other');
});

# the generation that is there, and how many
sub there {
    my $r = $t->get($uri, @auth);
    my %seen = map { $_ => 1 } $r->body =~ /"table":"g(\d+)_/g;
    return join(' ', sort keys %seen) . ': ' . total($r);
}

# A reader that holds its snapshot: it cannot print on, until its pipe is read.
sub held_reader {
    pipe my $reader, my $writer or die "pipe: $!";
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        close $reader;
        open STDOUT, '>&', $writer;
        exec { $t->{ctl} } $t->{ctl}, 'export', $store or POSIX::_exit(127);
    }

    close $writer;
    wait_for { $t->read_file("/proc/$pid/wchan") =~ /pipe/
               || $t->read_file("/proc/$pid/syscall") =~ /^1 0x1 / };

    return { pid => $pid, out => $reader };
}

sub replace {
    my ($g, @options) = @_;
    return $t->ctl('import', $store, '-', '--atomic', @options,
                   { stdin => lines($g) });
}

my $g = 0;
is there(), "0: $N", 'at first';

# again and again the same pages are used: a small map is enough

for (1 .. 8) {
    my ($exit, undef, $err) = replace(++$g, @map);
    $exit == 0 or diag $err;
}
is there(), "8: $N", 'a small map is enough for what is replaced';

for my $round (1 .. $ROUNDS) {
    my $held = held_reader();
    my ($exit, $err) = (0, '');
    my $last = $g;
    my $tries = 0;

    while ($exit == 0 && $tries++ < 20) {
        ($exit, undef, $err) = replace(++$g, @map);
        $last = $g if $exit == 0;
    }

    is $exit, 1, "round $round: a held snapshot lets the map be full";
    like $err, qr/^exportsctl: import: .*map is full.*--map-size/m, 'said';
    like $err, qr/nothing is committed/, 'and what is kept';
    is there(), "$last: $N", 'nothing half done';
    like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'the store is sound';

    my ($refused, undef, $why) = $t->ctl('import', $store, '-', '--atomic', @map,
                                         { stdin => lines($g) });
    is $refused, 1, 'it stays full while the reader stays';

    my $stat = json($t->ctl_ok('stat', $store, '--json', @map));
    cmp_ok $stat->{used_percent}, '>', 0, 'stat works';

    # the snapshot that was held is whole

    my $out = do { local $/; my $fh = $held->{out}; <$fh> };
    waitpid $held->{pid}, 0;
    is $?, 0, 'the reader ends';
    my %seen = map { $_ => 1 } $out =~ /"table":"g(\d+)_/g;
    is scalar(() = $out =~ /\n/g), $N, 'and has printed everything';
    is scalar(keys %seen), 1, 'of one commit';

    ($exit, undef, $err) = replace(++$g, @map);
    is $exit, 0, 'then there is room again' or diag $err;
    is there(), "$g: $N", 'and it is there';
    like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'the store is sound';
}

# a limit that is set higher

my ($exit, undef, $err) = $t->ctl('import', $store, '-', @map,
    { stdin => join '', map { project_line(project => 'other', id => "exp_$_",
                                           table => 'x' x 900) . "\n" }
                        1 .. 4000 });
is $exit, 1, 'too much for a small map';
$t->ctl_ok('import', $store, '-', '--map-size', '32m', { stdin => join '', map {
    project_line(project => 'other', id => "exp_$_", table => 'x' x 900) . "\n" }
    1 .. 4000 });
cmp_ok -s "$store/data.mdb", '>', 4 << 20, 'a larger one lets it grow';

no_faults($load->stop, 'clients: each answer is of one commit');

$t->done;
