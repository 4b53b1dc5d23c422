# A symlink to the store is swapped, and swapped again, under load: each answer
# is of one generation, and the new one is there soon, mostly within a second.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Time::HiRes 'time';

use Exports::Faults;
use Exports::Test;

my $SWAPS = strength(8, 150);

plan tests => 13;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    exports_store %%DIR%%/current;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /other/ { return 200 other; }
    }
}
EOC

my $token = 'pat_of_all_generations';
my @auth = (Authorization => "Bearer $token");
my $uri = '/projects/demo/exports?limit=500';
my %count = (one => 150, two => 260);

generation($t, $_, $count{$_}, $token) for sort keys %count;
put_link($t, 'one', 'current');
$t->run;

# what each says, to the byte

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
    my $name = $r && $r->status == 200 ? $known{ masked($r->body) } : undef;

    $client->fault('of no generation: ' . $r->raw) if $r && !defined $name;
    $client->count($name) if defined $name;

    $r = $client->ask('/other/');
    $client->fault('another location: ' . $r->raw)
        if $r && ($r->status != 200 || $r->body ne 'other');
});

my @connections = map { $t->connect } 1 .. 4;
my ($which, $longest, $late, $missed, $back, $etags) = ('one', 0, 0, 0, 0, 0);
my (%other, %seen);

for my $swap (1 .. $SWAPS) {
    $which = $which eq 'one' ? 'two' : 'one';
    put_link($t, $which, 'current');

    my $begun = time;
    my %at;

    # until all connections, of both workers, have seen the new one

    while (grep { ($at{$_} // '') ne $which } 0 .. $#connections) {
        time < $begun + 20 or $missed++, last;

        for my $i (0 .. $#connections) {
            my $r = $connections[$i]->get($uri, @auth);
            my $name = $known{ masked($r->body) };

            defined $name or $other{ $r->raw }++, next;
            $back++ if ($at{$i} // '') eq $which && $name ne $which;
            $at{$i} = $name;
        }
    }

    my $took = time - $begun;
    $longest = $took if $took > $longest;
    $late++ if $took > 1;

    # ETags of one are not those of the other

    my $r = $connections[0]->get($uri, @auth);
    my $etag = $r->header('ETag');
    my $same = $connections[1]->get($uri, @auth, 'If-None-Match' => $etag);
    $etags++ if $same->status == 304 && ($seen{$etag} // $which) eq $which;
    $seen{$etag} = $which;
}

note sprintf 'the longest took %.2f s', $longest;
my $report = $load->stop;
no_faults($report, "$SWAPS swaps: each answer is of one generation");
cmp_ok $report->{counts}{$_} // 0, '>', 0, "clients have seen $_"
    for sort keys %count;
ok !%other, 'the same on our own connections' or diag explain \%other;
is $missed, 0, 'each is followed';
cmp_ok $late, '<', $SWAPS / 2, 'mostly within a second';
is $back, 0, 'and never back';
is $etags, $SWAPS, 'one ETag for a generation in both workers';
is keys %seen, 2, 'and one for each';

# what is not served any more is let go of

ok wait_for(sub {
    my @open = map { my $maps = $t->read_file("/proc/$_/maps");
                     scalar(() = $maps =~ m{/data\.mdb$}mg) } $t->workers;
    return !grep { $_ != 1 } @open;
}), 'each worker has one store mapped';

$_->close for @connections;
$t->done;
