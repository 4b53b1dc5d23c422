# Workers that come and go: reloads, a worker that is killed, no master at
# all.  None leaves a reader slot behind in lock.mdb, and clients see nothing.
# Under load: faults/reloads.t and faults/workers_killed.t.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

plan tests => 39;

my $t = Exports::Test->new;

# with a cache manager and a cache loader, which are no workers

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ {
            exports_api project;
            exports_store %%DIR%%/store;
        }
    }
    server {
        listen 127.0.0.1:%%PORT_link%%;
        exports_store %%DIR%%/link;
        location /projects/ { exports_api project; }
    }
}
EOC

my $store = $t->store('store', map {
    project_line(project => 'demo', id => "exp_$_") } 1 .. 3);
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));
my $uri = '/projects/demo/exports';

symlink 'store', $t->path('link') or die "symlink: $!";

# the processes that hold a reader slot: behind the header of lock.mdb, of two
# cache lines, each slot is a line of transaction, process, thread
sub slots {
    my $lock = $t->read_file('store/lock.mdb');
    my @pids;

    for (my $at = 128; $at + 64 <= length $lock; $at += 64) {
        my $pid = unpack 'l', substr $lock, $at + 8, 4;
        push @pids, $pid if $pid;
    }

    return @pids;
}

sub list { $t->get($uri, @auth, @_) }

# each worker has the store open once it has answered
sub touch_all {
    my %seen;
    wait_for {
        list();
        my @slots = slots();
        return !grep { my $pid = $_; !grep { $_ == $pid } @slots } $t->workers;
    } 5;
}

$t->run;


# ---- one environment, whatever the path ------------------------------------

for (1 .. 20) {
    list();
    list(port => 'link');
}

is list()->json->{data}{total}, 3, 'one server';
is list(port => 'link')->json->{data}{total}, 3, 'the other, by a symlink';
is list()->header('ETag'), list(port => 'link')->header('ETag'),
   'the same ETag: it is the same store';

my @maps = map { my $maps = $t->read_file("/proc/$_/maps");
                 scalar(() = $maps =~ m{/data\.mdb$}mg) } $t->workers;
ok !(grep { $_ > 1 } @maps), 'mapped once in a worker' or diag "@maps";

my %slots;
$slots{$_}++ for slots();
ok !(grep { $_ > 1 } values %slots), 'one slot for a worker'
    or diag explain \%slots;
ok !$slots{ $t->{pid} }, 'none for the master';
is $t->read_file("/proc/$t->{pid}/maps") =~ /data\.mdb/, '',
   'nor has it the store open';


# ---- writes are seen at once, by both workers ------------------------------

my @c = map { $t->connect } 1 .. 6;
my ($late, $old) = (0);

for my $n (4 .. 23) {
    $t->load($store, project_line(project => 'demo', id => "exp_$n"));
    for (@c) {
        my $r = $_->get($uri, @auth);
        total($r) == $n or $late++, $old = "not $n: " . $r->raw;
    }
}

is $late, 0, 'what was committed is what the next request gets'
    or diag substr $old, 0, 1000;
$_->close for @c;


# ---- reloads ---------------------------------------------------------------

my $total = 23;

# a bad configuration changes nothing

my $template = $t->{template};
$t->write_file('nginx.conf', 'nonsense;');
$t->allow_log(qr/unknown directive "nonsense"/);
kill 'HUP', $t->{pid};
ok wait_for(sub { $t->error_log =~ /unknown directive "nonsense"/ }),
   'a bad configuration is refused';
is list()->status, 200, 'a bad configuration: still served';
$t->conf($template);


# ---- a reload with another configuration -----------------------------------

my $second = $t->store('second', project_line(project => 'demo', id => 'exp_x'));
$t->token($second, project => 'demo', token => $auth[1] =~ s/^Bearer //r);

my $held = $t->connect;
$held->send("GET $uri HTTP/1.1\r\nHost: x\r\n");
wait_for { list()->status == 200 };

$t->conf($template =~ s{%%DIR%%/store\b}{%%DIR%%/second}r
                   =~ s{/projects/}{/moved/}r);
$t->reload(gone => 0);
is_page $t->get('/moved/demo/exports', @auth), ['exp_x'], { total => 1 },
        'another store, another prefix';
is list()->status, 404, 'no longer the old one';
is total(list(port => 'link')), $total, 'the other server as before';

$held->send("Authorization: $auth[1]\r\n\r\n");
my $answer = $held->response;
is total($answer), $total, 'a request that an old worker has begun to read';
ok $held->closed, 'is its last';

$t->conf($template);
$t->reload;
is total(list()), $total, 'and back';


# ---- a worker is killed ----------------------------------------------------

$t->allow_log(qr/exited on signal 9/);

for my $n (1 .. 5) {
    my ($pid) = $t->workers;

    touch_all();
    kill 'KILL', $pid;
    wait_for { 2 == grep { $_ != $pid } $t->workers };

    is list()->status, 200, "kill $n: served";
    touch_all();
    $t->load($store, project_line(project => 'demo', id => "exp_kill_$n"));
    $total++;
}

is list()->json->{data}{total}, $total, 'killed workers: up to date';
ok wait_for(sub { my %worker = map { $_ => 1 } $t->workers;
                  !grep { !$worker{$_} } slots() }, 15),
   'slots of killed workers are reclaimed'
    or diag join ' ', slots(), 'workers:', $t->workers;

# a client that is cut off, and one that sends slowly

my $c = $t->connect;
$c->send("GET $uri HTTP/1.1\r\nHost: x\r\n");
is list()->status, 200, 'while another request is half sent';
$c->send("Authorization: $auth[1]\r\n\r\n");
is $c->response->json->{data}{total}, $total, 'the half that came later';
$c->close;

$t->done;


# ---- no master -------------------------------------------------------------

my $single = Exports::Test->new;

$single->conf(<<'EOC');
%%MAIN%%
master_process off;
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /config/ { return 200 first; }
    }
}
EOC

$store = $single->store('store', project_line(project => 'demo'));
@auth = (Authorization => 'Bearer '
         . $single->token($store, project => 'demo'));
$single->run;

# After HUP nginx 1.22 without a master has no connections left to accept with,
# whatever its modules are; those that it has go on.

@c = map { $single->connect } 1 .. 3;
is $_->get($uri, @auth)->json->{data}{total}, 1, 'master_process off' for @c;

$single->load($store, project_line(project => 'demo', id => 'exp_2'));
is $c[0]->get($uri, @auth)->json->{data}{total}, 2,
   'master_process off: up to date';

kill 'HUP', $single->{pid};
wait_for { $single->error_log =~ /\breconfiguring\n.*using the "epoll"/s };

is $_->get($uri, @auth)->json->{data}{total}, 2,
   'master_process off: served after HUP' for @c;

$single->load($store, project_line(project => 'demo', id => 'exp_3'));
is $_->get($uri, @auth)->json->{data}{total}, 3,
   'master_process off: up to date after HUP' for @c;
$_->close for @c;

$single->done;


# ---- a lock file that is cut short: a worker ends in order all the same -----

my $cut = Exports::Test->new;
$cut->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ {
            exports_api project;
            exports_store %%DIR%%/store;
        }
    }
}
EOC

$store = $cut->store('store', project_line(project => 'demo'));
@auth = (Authorization => 'Bearer ' . $cut->token($store, project => 'demo'));
$cut->run;
is $cut->get($uri, @auth)->status, 200, 'a store whose lock file is cut short';
truncate "$store/lock.mdb", 0 or die "truncate: $!";
$cut->done;
