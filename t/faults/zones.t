# A worker dies while it changes a zone: what it leaves there is half changed,
# and the others, who go on with it, must not follow it.

use warnings;
no warnings 'portable';         # hex() of an address
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Time::HiRes ();

use Exports::Faults;
use Exports::Test;

# seconds to meet a worker in the middle of a change
my $TIME = strength(20, 120);
my $KILLS = strength(2, 20);

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    exports_store %%DIR%%/store;
    exports_operation_zone runs:72k;
    exports_rate_zone rates:104k;
    exports_link_key_file %%DIR%%/key;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ {
            exports_api project;
            exports_operations runs;
        }
        location /exports {
            exports_api user;
            exports_rate_limit rates rate=1000000r/m;
        }
    }
}
EOC

$t->write_file('key', 'k' x 32);
chmod 0600, $t->path('key') or die "chmod: $!";
my $store = $t->store('store', project_line(project => 'demo', id => 'exp_1'),
                      user_line(user => 1, uuid => 'u-1'));
my @project = (Authorization => 'Bearer ' . $t->token($store,
                                                      project => 'demo'));
my @user = (Authorization => 'Bearer ' . $t->token($store, user => 1));

$t->run;

# the zone of that size in the memory of a process: (where it begins, where what
# is kept in it does)
sub zone {
    my ($pid, $size) = @_;

    open my $maps, '<', "/proc/$pid/maps" or return;

    for (grep { m{^\S+ rw-s .*/dev/zero} } <$maps>) {
        my ($start, $end) = map { hex } /^(\w+)-(\w+)/;
        next if $end - $start != $size * 1024;

        for (my $at = $start; $at < $end; $at += 4096) {
            my ($changing, $last) = unpack 'Q<2', peek($pid, $at, 16) // return;
            return ($at, $last)
                if $changing <= 1 && $last > $end - 8192 && $last <= $end;
        }
    }

    return;
}

sub peek {
    my ($pid, $at, $len) = @_;
    open my $fh, '<:raw', "/proc/$pid/mem" or return undef;
    sysseek $fh, $at, 0 or return undef;
    my $bytes = '';
    return (sysread($fh, $bytes, $len) // 0) == $len ? $bytes : undef;
}

sub poke {
    my ($pid, $at, $bytes) = @_;
    open my $fh, '+<:raw', "/proc/$pid/mem" or die "/proc/$pid/mem: $!";
    sysseek $fh, $at, 0 or die "seek: $!";
    syswrite($fh, $bytes) == length $bytes or die "write: $!";
}

my ($pid) = $t->workers;
my @runs = zone($pid, 72);
my @rates = zone($pid, 104);

plan skip_all => 'the memory of a worker cannot be looked at'
    if !@runs || !@rates;
plan tests => 24;

sub run {
    my ($key, $expected, $name) = @_;
    my $r = $t->get('/projects/demo/exports', @project,
                    'X-Operation-Key' => $key);
    is $r->status, 200, $name;
    is $r->json->{operation_grouping_status}, $expected, "$name: the run";
    return $r->json->{operation_run_id};
}

sub remaining {
    return $t->get('/exports', @user)->header('X-RateLimit-Remaining') // '';
}

# the workers but for these
sub fresh {
    my %old = map { $_ => 1 } @_;
    return grep { !$old{$_} } $t->workers;
}

sub told { scalar(() = $t->error_log =~ /exports zone "$_[0]" was being changed/g) }

$t->allow_log(qr/being changed by a process that died|exited on signal 9/,
              qr/"runs" was locked by/);


# ---- what is half changed is not used --------------------------------------

my $id = run('a', 'generated_run', 'at first');
is run('a', 'continued_run', 'it goes on'), $id, 'as the same';
is told('runs'), 0, 'nothing to be told';

poke($pid, $runs[0], pack 'Q<', 1);
isnt run('a', 'generated_run', 'changing'), $id, 'another run';
is told('runs'), 1, 'which is told';
run('a', 'continued_run', 'and then it goes on');

# whatever it was left like

poke($pid, $runs[0] + 16, "\xa5" x ($runs[1] - $runs[0] - 16));
poke($pid, $runs[0], pack 'Q<', 1);
run('a', 'generated_run', 'rubbish');

is remaining(), 999_999, 'a limit';
poke($pid, $rates[0] + 16, "\xa5" x ($rates[1] - $rates[0] - 16));
poke($pid, $rates[0], pack 'Q<', 1);
is remaining(), 999_999, 'begins anew';
is remaining(), 999_998, 'and goes on';
is told('rates'), 1, 'and is told';
ok +(grep { $_ == $pid } $t->workers), 'no worker died of it';


# ---- workers are killed in the middle --------------------------------------

my $load = Exports::Faults->load($t, 4, sub {
    my ($client) = @_;
    my $r = $client->ask('/projects/demo/exports', @project, 'X-Operation-Key',
                         'k' . int rand 200, lost => 1);
    $client->fault($r->raw) if $r && $r->status != 200;
});

my $killed = 0;
my $end = Time::HiRes::time() + $TIME;

while ($killed < $KILLS && Time::HiRes::time() < $end) {
    my @workers = $t->workers;
    my $worker = $workers[rand @workers] // next;

    # the word may be of the other one, at work

    kill 'STOP', @workers;
    my $changing = unpack 'Q<', peek($worker, $runs[0], 8) // pack 'Q<', 0;

    if ($changing) {
        kill 'KILL', @workers;
        $killed++;
    }

    kill 'CONT', @workers;
    wait_for(sub { fresh(@workers) == 2 }) if $changing;
}

no_faults($load->stop, 'answers are right');
note "$killed times";
cmp_ok $killed, '>', 0, 'workers were killed while they changed the zone';
cmp_ok told('runs'), '>=', 2 + ($killed > 0), 'the others have seen it';

my @lost = grep { $t->get('/projects/demo/exports', @project,
                          'X-Operation-Key' => "n$_")->status != 200 } 1 .. 200;
is @lost, 0, 'each request is answered then';

$t->done;
