# Writers are killed at random moments, under load: every commit that was
# acknowledged or seen is there, of the others all or nothing; the store is
# sound, and the next writer goes on at once.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(time usleep);

use Exports::Faults;
use Exports::Test;

my $IMPORTS = strength(8, 200);
my $ATOMIC = strength(4, 50);
my $PUTS = strength(15, 250);
my $STREAMS = strength(8, 200);
my $BATCH = 5;

# of the next writer, s: it has a machine to share
my $AT_ONCE = 20;

my $seed = $ENV{KILL_SEED} // time ^ $$;

plan tests => 17;
note "KILL_SEED=$seed";
srand $seed;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    keepalive_timeout 1h;
    exports_store %%DIR%%/store;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /other/ { return 200 other; }
    }
}
EOC

my $store = $t->store('store', project_line(project => 'demo', id => 'exp_1'));
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));
my $uri = '/projects/demo/exports?limit=1';

$t->run;

# what has been seen once stays

my $load = Exports::Faults->load($t, 2, sub {
    my ($client) = @_;
    my $r = $client->ask($uri, @auth);
    my $total = $r ? total($r) : 0;

    $client->fault('not right: ' . $r->raw)
        if $r && ($r->status != 200 || $total < 1 || 1 != (my @ids = ids($r)));
    $client->fault("$total after $client->{seen}")
        if $r && $total < ($client->{seen} // 0);
    $client->{seen} = $total if $r;

    $r = $client->ask('/other/');
    $client->fault('another location: ' . $r->raw)
        if $r && ($r->status != 200 || $r->body ne 'other');
});

my $c = $t->connect;

sub listed { total($c->get($uri, @auth)) }
sub line { project_line(project => 'demo', id => "exp_$_[0]") . "\n" }

my $slowest = 0;
my $unsound = 0;
my $checked = 0;

# the next writer, and every now and then a look at everything
sub next_writer {
    my ($id) = @_;
    my $begun = time;

    $t->ctl_ok('put', $store, '-', { stdin => line($id) });

    my $took = time - $begun;
    $slowest = $took if $took > $slowest;

    if (++$checked % 20 == 0) {
        my ($exit) = $t->ctl('verify', $store);
        $unsound++ if $exit != 0;
    }
}

# kills an import, after some of its commits were seen; (seen, then there)
sub killed_import {
    my ($name, $goal, @options) = @_;
    my $before = listed();
    my $job = $t->start_ctl('import', $store, '-', @options);
    my $text = join '', map { line("${name}_$_") } 1 .. 1000;
    my $at = 0;

    $job->{in}->blocking(0);

    wait_for {
        while ($at < length $text) {
            my $written = syswrite $job->{in}, $text, 8192, $at;
            last if !$written;
            $at += $written;
        }
        listed() >= $before + $goal
    } 10;

    usleep(rand 3000);
    my $seen = listed();
    kill 'KILL', $job->{pid};
    $t->finish($job);

    return ($seen - $before, listed() - $before);
}


# ---- imports ---------------------------------------------------------------

# What is committed is seen at once, so that what was seen was committed.  With
# the next write may come a batch that was written whole, when its writer was
# killed before it could say so.

my ($lost, $odd) = (0, 0);

for my $kill (1 .. $IMPORTS) {
    my ($seen, $after) = killed_import("import_$kill", $BATCH * int rand 12,
        '--batch', $BATCH, $kill % 2 ? () : ('--durability', 'nometasync'));

    $lost++ if $after < $seen;
    $odd++ if $after % $BATCH;

    my $there = listed();
    next_writer("after_import_$kill");
    my $more = listed() - $there;
    $odd++ if $more != 1 && $more != 1 + $BATCH;
}

is $lost, 0, "$IMPORTS imports: what was seen has stayed";
is $odd, 0, 'whole batches only';

my $halves = 0;

for my $kill (1 .. $ATOMIC) {
    my $before = listed();
    my $job = $t->start_ctl('import', $store, '-', '--atomic', '--batch', 10);
    print { $job->{in} } map { line("atomic_${kill}_$_") } 1 .. 60;
    close delete $job->{in};
    usleep(rand 20000);
    kill 'KILL', $job->{pid};
    $t->finish($job);

    next_writer("after_atomic_$kill");
    my $more = listed() - $before;
    $halves++ if $more != 1 && $more != 61;
}

is $halves, 0, "$ATOMIC imports with --atomic: all or nothing";


# ---- puts ------------------------------------------------------------------

my (@acknowledged, @killed);

# how long one takes, here and now

my $begun = time;
for (1 .. 10) {
    my $job = $t->start_ctl('put', $store, '-');
    print { $job->{in} } line('to_measure');
    $t->finish($job);
}
my $usual = (time - $begun) / 10;

for my $kill (1 .. $PUTS) {
    my $id = "put_$kill";
    my $job = $t->start_ctl('put', $store, '-');
    print { $job->{in} } line($id);
    close delete $job->{in};

    usleep(rand 2e6 * $usual);
    kill 'KILL', $job->{pid};
    my ($exit) = $t->finish($job);

    push @{ $exit == 0 ? \@acknowledged : \@killed }, $id;

    # the machine may be busier now, or less
    $usual *= $exit == 0 ? 2 / 3 : 3 / 2;

    next_writer("after_put_$kill");
}

my %there = map { /"id":"exp_(put_\d+)"/ ? ($1 => 1) : () }
            split /\n/, $t->ctl_ok('export', $store);

my @gone = grep { !$there{$_} } @acknowledged;
ok !@gone, "$PUTS puts: what was acknowledged is there" or diag "@gone";
cmp_ok scalar(@acknowledged), '>', 0, 'some were';
note scalar(@acknowledged), ' acknowledged, ', scalar(@killed), ' killed, ',
     scalar(grep { $there{$_} } @killed), ' of these are there';
cmp_ok scalar(@killed), '>', 0, 'some were killed';


# ---- streams ---------------------------------------------------------------

# Of the lines that were sent those up to some are there, at least those that
# were confirmed.

my ($confirmed, $unsaid) = (0, 0);
my (@short, @holes);

for my $kill (1 .. $STREAMS) {
    my $job = $t->start_ctl('import', '--stream', '--json', $store, '-');
    my $sent = 1 + int rand 400;
    my $said = 0;

    for my $n (1 .. $sent) {
        print { $job->{in} } line("stream_${kill}_$n");
        usleep(rand 2000) if rand() < 0.05;
    }

    wait_for { -s $job->{out} };
    usleep(rand 5000);
    kill 'KILL', $job->{pid};
    my (undef, $out) = $t->finish($job);

    $said = $1 while $out =~ /^\{"committed":(\d+)\}$/mg;
    next_writer("after_stream_$kill");

    my @there = sort { $a <=> $b }
                map { /"id":"exp_stream_${kill}_(\d+)"/ ? $1 : () }
                split /\n/, $t->ctl_ok('export', $store);

    $confirmed += $said;
    $unsaid += $sent - $said;
    push @short, $kill if @there < $said;
    push @holes, $kill if @there && $there[-1] != @there;
}

is "@short", '', "$STREAMS streams: what was confirmed is there";
is "@holes", '', 'and of the rest nothing without the lines before it';
cmp_ok $confirmed, '>', 0, "some were: $confirmed, and $unsaid were not";


# ---- after all -------------------------------------------------------------

my $kills = $IMPORTS + $ATOMIC + $PUTS + $STREAMS;
my $singles = grep { /"id":"exp_after_/ }
              split /\n/, $t->ctl_ok('export', $store);

is $singles, $kills, "$kills kills: the next writer's commit is there each time";
cmp_ok $slowest, '<', $AT_ONCE, sprintf 'at once: %.2f s at the most', $slowest;
is $unsound, 0, 'verify found no fault in between';
like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'nor at the end';
is listed(), json($t->ctl_ok('stat', $store, '--json'))->{entries}{manifests},
   'the server shows all of it';

# writers that were killed leave no reader slot, and the locks are free

my %worker = map { $_ => 1 } $t->workers;
ok wait_for(sub { !grep { !$worker{$_} && !-e "/proc/$_" } slots($store) }, 15),
   'no slot of a dead process';

no_faults($load->stop, 'clients: what was seen stays');

$c->close;
$t->done;
