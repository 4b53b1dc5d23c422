# Writers that wait for one another, are stopped, are interrupted: readers do
# not notice, and what was acknowledged is there.  Those that are killed:
# faults/writers_killed.t.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes 'time';

use Exports::Test;

plan tests => 28;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
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

my $c = $t->connect;

sub listed { total($c->get('/projects/demo/exports?limit=1', @auth)) }
sub owner { $t->lock_owner('store') }

sub line { project_line(project => 'demo', id => "exp_$_[0]") . "\n" }


# ---- a writer inside of its transaction ------------------------------------

# --atomic holds it open while more lines come: here one, and no more yet

my $first = $t->start_ctl('import', $store, '-', '--atomic', '--batch', 1);
print { $first->{in} } line('atomic');
ok wait_for(sub { owner() == $first->{pid} }), 'it has the write lock';

my $second = $t->start_ctl('put', $store, '-');
print { $second->{in} } line('second');
close delete $second->{in};
ok wait_for(sub { $t->read_file("/proc/$second->{pid}/stat") =~ /\) S / }),
   'a second writer waits for it';

is listed(), 1, 'a reader does not: the last commit';
kill 'STOP', $first->{pid};
my $begin = time;
is listed(), 1, 'nor when the writer is stopped' for 1 .. 3;
cmp_ok time - $begin, '<', 10, 'at once';
ok wait_for(sub { -s $second->{err} }), 'the second writer says that it waits';
is scalar(() = $t->ctl_ok('list', $store, '--project', 'demo', '--json') =~ /\n/g),
   1, 'other commands read too';
kill 'CONT', $first->{pid};
print { $first->{in} } line('atomic_2');

my ($exit, undef, $err) = $t->finish($first);
is $exit, 0, 'the first ends' or diag $err;
($exit, undef, $err) = $t->finish($second);
is $exit, 0, 'and then the second' or diag $err;
is $err, "exportsctl: put: waiting for another writer\n", 'it has waited';
is listed(), 4, 'all is there';


# ---- interrupted -----------------------------------------------------------

my $n = 4;

for my $signal (qw(TERM INT HUP)) {
    my $job = $t->start_ctl('import', $store, '-', '--atomic', '--batch', 1);
    print { $job->{in} } line("$signal");

    # the signal comes while it holds the lock and waits for more

    wait_for { owner() == $job->{pid} };
    kill $signal, $job->{pid};
    ($exit, undef, $err) = $t->finish($job);
    isnt $exit, 0, "SIG$signal: exit";
    like $err, qr/^exportsctl: import: .*nothing is committed/m,
         "SIG$signal: says what is kept" or diag $err;
    is listed(), $n, "SIG$signal: nothing";
    $t->ctl_ok('put', $store, '-', { stdin => line("after_$signal") });
    $n++;
}
is listed(), $n, 'the write lock is free again each time';


# ---- several at once -------------------------------------------------------

my $base = listed();
my @jobs = map { $t->start_ctl('import', $store, '-', '--batch', 3) } 1 .. 4;

for my $j (0 .. $#jobs) {
    print { $jobs[$j]{in} } map { line("job_${j}_$_") } 1 .. 50;
    close delete $jobs[$j]{in};
}

my @status = map { ($t->finish($_))[0] } @jobs;
is "@status", '0 0 0 0', 'four writers at once';
is listed(), $base + 200, 'all that they wrote is there';
like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'the store is sound';


# ---- a store that nobody keeps open ----------------------------------------

# the last to close it takes LMDB's locks with it, from 0.9.26 to 0.9.31 even
# from those that just open it

my $alone = $t->store('alone', map { line("alone_$_") } 1 .. 3);
my @failed;

for my $round (1 .. 40) {
    for my $job (map { $t->start_ctl($_ % 4 ? 'stat' : 'init', $alone) } 1 .. 4)
    {
        ($exit, undef, $err) = $t->finish($job);
        push @failed, $err if $exit;
    }
}

is "@failed", '', 'commands that open and close it at once';

$c->close;
$t->done;
