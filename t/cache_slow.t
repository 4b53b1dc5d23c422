# exports_page_cache with many slow clients: pages that are being sent are
# passed when room is made, and do not hide those that could give way.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;

use Exports::Test;

plan tests => 7;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 1;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    exports_page_cache 24m;
    exports_store %%DIR%%/store;
    add_header X-Cache $exports_cache always;
    server {
        listen 127.0.0.1:%%PORT%% sndbuf=16k;
        location /projects/ { exports_api project; }
    }
}
EOC

my $store = $t->store('store', map { project_line(
    project => 'demo', id => "exp_$_",
    created_at => stamp(1_700_000_000_000_000 + $_)) } 1 .. 600);
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));

$t->run;

my $uri = '/projects/demo/exports?limit=450';

sub cache { $t->get(@_, @auth)->header('X-Cache') }

# a client that does not read: its page is in use once the answer has begun
sub slow {
    my ($uri) = @_;
    my $c = $t->connect;
    setsockopt $c->{socket}, SOL_SOCKET, SO_RCVBUF, 32768;
    $c->send(Exports::Test::request_text('GET', $uri, @auth));
    $c->_until(sub { $c->{in} =~ /\r\n\r\n/ }) or die 'no answer';

    return $c;
}

# more than are passed at a time

my @slow = map { slow("$uri&offset=$_") } 1 .. 80;
is scalar(grep { $_->{in} =~ /X-Cache: MISS/ } @slow), 80,
   'pages of slow clients are kept';

my %how;
$how{ cache("$uri&offset=$_") }++ for 101 .. 200;
ok $how{MISS} && $how{BYPASS}, 'others, until the cache is full'
    or diag explain \%how;

# so that all others are idle

cache('/projects/demo/exports') for 1 .. 2000;

$how{ cache("$uri&offset=$_") }++ for 201 .. 203;
is join(' ', map { cache("$uri&offset=$_") } 204, 204), 'MISS HIT',
   'idle pages make room for a new one';

# a commit: those of the slow clients are out of date, and take up room still

$t->load($store, project_line(project => 'demo', id => 'exp_late'));
is join(' ', map { cache("$uri&offset=$_") } 204, 204), 'MISS HIT',
   'a newer version is kept';

setsockopt $_->{socket}, SOL_SOCKET, SO_RCVBUF, 1048576 for @slow;
is join(' ', map { total($_->response('GET')) } @slow[0, 40, 79]),
   '600 600 600', 'slow clients get what they asked for';
$_->close for @slow;

is join(' ', map { cache("$uri&offset=$_") } 1, 1), 'MISS HIT',
   'then there is room again';

$t->done;
