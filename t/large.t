# A page of some megabytes to a client that reads slowly, while the store
# changes, is replaced, is cut; and clients that go away.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

plan tests => 13;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/current check=20ms;
    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORT_slow%% sndbuf=64k;
        location /projects/ { exports_api project; }
    }
}
EOC

# records near the limit of 16 KiB

sub big {
    my ($n, $letter) = @_;
    return project_line(project => 'demo', id => "exp_$n",
        created_at => stamp(1_700_000_000_000_000 + $n),
        (map { $_ => $letter x 1024 } qw(download_name content_type
                                         storage_backend)),
        map { $_ => "\x01" . ($letter x 1020) } qw(table status_reason));
}

my $token = 'pat_of_both';
my @auth = (Authorization => "Bearer $token");

for (['one', 'a'], ['two', 'b']) {
    my ($name, $letter) = @$_;
    $t->store($name, map { big($_, $letter) } 1 .. 500);
    $t->token($t->path($name), project => 'demo', token => $token);
}

symlink 'one', $t->path('current') or die "symlink: $!";
$t->run;

my $uri = '/projects/demo/exports?limit=500';

sub generation {
    my ($body) = @_;
    return 'a' if $body =~ /"table":"\\u0001a{1020}"/;
    return 'b';
}

sub whole {
    my ($r) = @_;
    return $r->status == 200 && length $r->body == $r->header('Content-Length')
           && 500 == (my @ids = ids($r)) && total($r) == 500
           && $r->body =~ /\}\}\z/;
}

my $r = $t->get($uri, @auth);
ok whole($r), 'a page of ' . length($r->body) . ' bytes';
cmp_ok length $r->body, '>', 2_500_000, 'that is large';
is $r->header('Transfer-Encoding'), undef, 'not chunked';


# ---- asked for, and not yet read -------------------------------------------

my @slow = map { $t->connect('slow') } 1 .. 8;
$_->send(Exports::Test::request_text('GET', $uri, @auth)) for @slow;

# all have begun to answer: their first bytes are here

for my $c (@slow) {
    wait_for { length $c->{in} or $c->_wait(0); length $c->{in} };
}

# other clients, meanwhile

is $t->get('/projects/demo/exports?limit=1', @auth)->status, 200,
   'others are served';

# the records that are being sent are replaced, deleted, and their pages used
# again; the store is swapped, and cut

$t->load($t->path('one'), map { big($_, 'c') } 1 .. 500) for 1 .. 3;
$t->ctl_ok('delete', $t->path('one'), '--project', 'demo',
           map { "exp_$_" } 1 .. 500);

symlink 'two', $t->path('new') or die "symlink: $!";
rename $t->path('new'), $t->path('current') or die "rename: $!";
ok wait_for(sub { generation($t->get("$uri&limit=1", @auth)->body) eq 'b' }),
   'the store is swapped';

truncate $t->path('one/data.mdb'), 4096 or die "truncate: $!";

my @r = map { $_->response } @slow;
is scalar(grep { whole($_) } @r), 8, 'slow clients get a whole page';
is scalar(grep { generation($_->body) eq 'a' } @r), 8, 'of when they asked';

is scalar(grep { whole($_->get($uri, @auth)) } @slow), 8,
   'and the next, on the same connections';
$_->close for @slow;


# ---- clients that go away --------------------------------------------------

my @workers = $t->workers;
my $worker = $workers[0];
my $before = () = glob "/proc/$worker/fd/*";

for (1 .. 30) {
    my $c = $t->connect('slow');
    $c->send(Exports::Test::request_text('GET', $uri, @auth));
    wait_for { length $c->{in} or $c->_wait(0); length $c->{in} } if $_ % 3;
    $c->close;
}

ok wait_for(sub { (() = glob "/proc/$worker/fd/*") <= $before + 1 }, 10),
   'connections that were cut are closed';
ok whole($t->get($uri, @auth)), 'and the next client is served';

# memory: it is the requests' own, and goes with them

my ($rss) = $t->read_file("/proc/$worker/status") =~ /^RssAnon:\s+(\d+)/m;
for (1 .. 40) {
    $t->get($uri, @auth);
}
my ($after) = $t->read_file("/proc/$worker/status") =~ /^RssAnon:\s+(\d+)/m;
cmp_ok $after, '<', $rss + 20_000, 'memory does not grow';
is "@{[$t->workers]}", "@workers", 'the worker is the same';

$t->done;
