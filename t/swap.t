# A store that is replaced while it is served: by a symlink, by what is none, by
# accident; what is left behind is let go.  Under load: faults/swaps.t.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Copy ();
use List::Util 'min';
use Test::More;
use Time::HiRes 'time';

use Exports::Test;

plan tests => 27;

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
        location /again/ { exports_api project; exports_store %%DIR%%/again; }
        location /direct/ { exports_api project; exports_store %%DIR%%/one; }
        location /quick/ {
            exports_api project;
            exports_store %%DIR%%/quick check=20ms;
        }
        location /small/ {
            exports_api project;
            exports_store %%DIR%%/small map_size=1m;
        }
    }
}
EOC

my $token = 'pat_of_all_generations';
my @auth = (Authorization => "Bearer $token");

# a generation: its exports carry its name, and their number differs
sub generation {
    my ($name, $n) = @_;
    my $path = $t->store($name, map { project_line(
        project => 'demo', id => "exp_${name}_$_",
        created_at => stamp(1_700_000_000_000_000 + $_)) } 1 .. $n);

    $t->token($path, project => 'demo', token => $token);

    return $path;
}

sub swap {
    my ($to, $link) = @_;
    unlink $t->path('new');
    symlink $t->path($to), $t->path('new') or die "symlink: $!";
    rename $t->path('new'), $t->path($link) or die "rename: $!";
}

my %count = (one => 150, two => 260);
generation($_, $count{$_}) for sort keys %count;
generation('small', 3);
swap('one', $_) for qw(current again quick);

$t->run;

# the generation of an answer, or what is wrong with it
sub generation_of {
    my ($r) = @_;
    return 'status ' . $r->status . ': ' . $r->body if $r->status != 200;

    my ($name) = ((ids($r))[0] // '') =~ /^exp_(\w+)_\d+$/
        or return 'empty';
    my @want = map { "exp_${name}_$_" } reverse 1 .. $count{$name};

    return 'a mixture: ' . join ' ', ids($r)
        if join(' ', ids($r)) ne "@want" || total($r) != $count{$name};

    return $name;
}

my $uri = 'demo/exports?limit=500';


# ---- what is swapped is let go of ------------------------------------------

my @connections = map { $t->connect } 1 .. 4;

# each worker has opened what it will
for my $c (@connections) {
    $c->get("/$_/$uri", @auth) for qw(projects again quick direct small);
}
my %open = map { $_ => $t->descriptors($_) } $t->workers;

# a worker holds each store once, however many paths lead there, and lets go
# of what it no longer serves

sub maps {
    my ($name) = @_;
    return map { my $maps = $t->read_file("/proc/$_/maps");
                 scalar(() = $maps =~ m{/$name/data\.mdb}g) } $t->workers;
}

swap('two', $_) for qw(current again quick);
rename $t->path('one'), $t->path('old') or die "rename: $!";
generation('one', $count{one});

for my $c (@connections) {
    wait_for { generation_of($c->get("/projects/$uri", @auth)) eq 'two'
               && generation_of($c->get("/again/$uri", @auth)) eq 'two'
               && generation_of($c->get("/quick/$uri", @auth)) eq 'two'
               && generation_of($c->get("/direct/$uri", @auth)) eq 'one' };
    is generation_of($c->get("/direct/$uri", @auth)), 'one', 'a new directory';
}

ok wait_for(sub { !grep { $_ } maps('old') }),
   'what is no longer served is unmapped';
cmp_ok $_, '<=', 1, 'mapped once, though three paths lead there'
    for maps('two');
cmp_ok $t->descriptors($_), '<=', $open{$_} + 4, 'no descriptor is left open'
    for $t->workers;


# ---- a swap to what is no store, and back ----------------------------------

mkdir $t->path('void');
swap('void', 'current');
$t->allow_log(qr{/(?:void|current)\b});

my $r;
wait_for { $r = $t->get("/projects/$uri", @auth); $r->status == 503 };
like $r->status, qr/^(?:503|200)\z/, 'swapped to nothing';
is generation_of($t->get("/again/$uri", @auth)), 'two',
   'other paths do not mind';
swap('one', 'current');
wait_for { $r = $t->get("/projects/$uri", @auth); $r->status == 200
           && generation_of($r) eq 'one' };
is generation_of($r), 'one', 'and back';


# ---- a short interval ------------------------------------------------------

# in one worker: another one may happen to look at once.  With the usual 250 ms
# each but the first takes as long; a busy machine delays some.

my $quick = $t->connect;
my @took;

for my $to (('one', 'two') x 3) {
    my $begun = time;
    swap($to, 'quick');
    ok wait_for(sub {
        generation_of($quick->get("/quick/$uri", @auth)) eq $to
    }), "check=20ms: $to";
    push @took, time - $begun;
}

cmp_ok min(@took[1 .. $#took]), '<', 0.2, 'check=20ms: sooner';
$quick->close;


# ---- the map grows over what the directive says ----------------------------

my @c = map { $t->connect } 1 .. 4;
my ($errors, $n, $error) = (0, 3);

for my $batch (1 .. 8) {
    $t->load($t->path('small'), map { project_line(
        project => 'demo', id => sprintf('exp_%d_%04d', $batch, $_),
        table => 'x' x 1000, status_reason => 'y' x 1000) } 1 .. 200);
    $n += 200;

    for (@c) {
        $r = $_->get('/small/demo/exports?limit=500', @auth);
        $r->status == 200 && total($r) == $n or $errors++, $error = $r->raw;
    }
}

is $errors, 0, 'a writer that outgrows map_size'
    or diag substr $error, 0, 1000;
cmp_ok -s $t->path('small/data.mdb'), '>', 3 << 20, 'it does';


# ---- the file is cut under the reader --------------------------------------

$t->allow_log(qr{/(?:small|one|copy|two)\b}, qr/SIGBUS|signal 7 /);
my @before = $t->workers;
truncate $t->path('small/data.mdb'), 65536 or die "truncate: $!";

my %status;
for (1 .. 40) {
    my $c = $c[$_ % @c];
    $r = eval { $c->get("/small/demo/exports?limit=500&offset=$_", @auth) };
    $status{$r ? $r->status : 'none'}++;
}
ok !$status{none}, 'a truncated file: each request is answered'
    or diag explain \%status;
ok $status{503} || $status{500}, 'a truncated file: with an error'
    or diag explain \%status;
is generation_of($t->get("/projects/$uri", @auth)), 'one',
   'other stores are served';
is "@{[$t->workers]}", "@before", 'no worker has died';

File::Copy::copy($t->path('two/data.mdb'), $t->path('fresh'))
    or die "copy: $!";
if ($t->user) {
    chown -1, (getpwnam $t->user)[3], $t->path('fresh');
    chmod 0640, $t->path('fresh');
}
rename $t->path('fresh'), $t->path('small/data.mdb') or die "rename: $!";
ok wait_for(sub { $t->get('/small/demo/exports', @auth)->status == 200 }),
   'and recovers when it is replaced';

$_->close for @connections, @c;
$t->done;
