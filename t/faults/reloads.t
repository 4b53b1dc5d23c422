# Reloads under load, with a cache manager and a cache loader beside the
# workers: no request is lost, and no reader slot is left behind.  With each the
# store is swapped, too.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select;
use Test::More;

use Exports::Faults;
use Exports::Test;

my $RELOADS = strength(10, 100);

plan tests => 12;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;
    keepalive_requests 100000;
    exports_store %%DIR%%/current;
    exports_root %%DIR%%/files;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /other/ { return 200 other; }
    }
}
EOC

my $token = 'pat_of_all_generations';
my @auth = (Authorization => "Bearer $token");
my $uri = '/projects/demo/exports';
my %count = (one => 35, two => 45);

generation($t, $_, $count{$_}, $token) for sort keys %count;
put_link($t, 'one', 'current');
$t->run;

my %known;

for my $name ('two', 'one') {
    put_link($t, $name, 'current');
    my $r;
    wait_for { $r = $t->get($uri, @auth); total($r) == $count{$name} };
    is_page $r, [map { "exp_${name}_$_" } reverse 1 .. $count{$name}],
            { total => $count{$name} }, "generation $name";
    $known{ masked($r->body) } = $name;
}

my $load = Exports::Faults->load($t, 3, sub {
    my ($client) = @_;
    my $r = $client->ask($uri, @auth);

    $client->fault('of no generation: ' . $r->raw)
        if $r && ($r->status != 200 || !$known{ masked($r->body) });

    $r = $client->ask('/other/');
    $client->fault('another location: ' . $r->raw)
        if $r && ($r->status != 200 || $r->body ne 'other');
});

my $which = 'one';

for (1 .. $RELOADS) {
    $which = $which eq 'one' ? 'two' : 'one';
    put_link($t, $which, 'current');
    $t->reload;
    $load->rounds(1);
}

my $report = $load->stop;
no_faults($report, "$RELOADS reloads: no request is lost, each answer right");
note explain $report->{counts};

is $known{ masked($t->get($uri, @auth)->body) }, $which, 'still served';


# ---- the slots -------------------------------------------------------------

# the processes that hold one, each once: both workers, when both have answered

for my $name ('one', 'two') {
    put_link($t, $name, 'current');

    ok wait_for(sub {
        my %worker = map { $_ => 1 } $t->workers;
        $t->get($uri, @auth);
        my @slots = slots($t->path($name));
        return @slots == 2 && !grep { !delete $worker{$_} } @slots;
    }), "$name: slots of the two workers only"
        or diag join ' ', slots($t->path($name)), 'workers:', $t->workers;

    cmp_ok json($t->ctl_ok('stat', $t->path($name), '--json'))->{readers}, '<=',
           8, "$name: stat says so";
}


# ---- a worker that leaves, but has a slow client ---------------------------

# it looks for swaps until its end, for what is left behind may be deleted

mkdir $t->path('files') or die "mkdir: $!";
truncate $t->write_file('files/exp_one_1', ''), 64 << 20 or die "truncate: $!";
put_link($t, 'one', 'current');
my @old = $t->workers;
wait_for { !grep { $t->read_file("/proc/$_/maps") !~ m{/one/data\.mdb$}m }
               @old };
my $slow = $t->connect;
$slow->send(Exports::Test::request_text('GET',
                '/projects/demo/export/download/exp_one_1', @auth));
ok(IO::Select->new($slow->{socket})->can_read(10), 'a download has begun');
$t->reload(gone => 0);

my $left;
wait_for { ($left, my @more) = grep { $t->children->{$_} } @old;
           $left && !@more };
put_link($t, 'two', 'current');

ok wait_for(sub {
    my $maps = $t->read_file("/proc/$left/maps");
    return $maps =~ m{/two/data\.mdb$}m && $maps !~ m{/one/data\.mdb$}m;
}), 'a worker that is leaving lets go of what was swapped out';

$slow->close;
ok wait_for { !$t->children->{$left} }, 'and leaves with its client';

$t->done;
