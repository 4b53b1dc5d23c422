# Caches between users: what one has asked for is never what another one gets,
# neither from a proxy in front, nor by an ETag, nor from rendered pages
# (exports_page_cache, where there is that directive).

use warnings;
use strict;

use Digest::SHA qw(sha256_hex);
use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;

use Exports::Test;
use Exports::User;

my $t = Exports::Test->new;

my $conf = <<'EOC';
%%MAIN%%
worker_processes 1;
events { }
http {
    %%HTTP%%
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;
    exports_link_key_file %%DIR%%/keys;
    exports_link_ttl 365d;
    exports_store %%DIR%%/store;
    exports_root %%DIR%%/root;
    PAGES
    server {
        listen 127.0.0.1:%%PORT_back%% sndbuf=16k;
        add_header X-Page $exports_cache;
        location /projects/ { exports_api project; }
        location /exports { exports_api user; }
        location /twin { exports_api user; }
        location /other/ {
            exports_api project;
            exports_store %%DIR%%/other;
        }
        location /static { return 200 "$request_id"; }
    }
    # a proxy that keeps all that it may, by the path alone
    server {
        listen 127.0.0.1:%%PORT%%;
        add_header X-Cache $upstream_cache_status;
        proxy_cache cache;
        proxy_cache_key $request_uri;
        proxy_cache_valid any 1h;
        proxy_cache_revalidate on;
        proxy_cache_use_stale error timeout;
        proxy_set_header Host $http_host;
        location / { proxy_pass http://127.0.0.1:%%PORT_back%%; }
    }
    # one that does what it must not: but for Vary
    server {
        listen 127.0.0.1:%%PORT_bad%%;
        add_header X-Cache $upstream_cache_status;
        proxy_cache cache;
        proxy_cache_key bad$request_uri;
        proxy_cache_valid 200 1h;
        proxy_ignore_headers Cache-Control Expires;
        location / { proxy_pass http://127.0.0.1:%%PORT_back%%; }
    }
}
EOC

my $pages = ($t->check_conf("%%MAIN%%\nevents { }\n"
                            . 'http { %%HTTP%% exports_page_cache 1m; }'))[1]
            !~ /unknown directive "exports_page_cache"/;

$t->conf($conf =~ s/PAGES/$pages ? 'exports_page_cache 4m;' : ''/er);

key_file($t, 'keys');
mkdir $t->path('root') or die "mkdir: $!";
$t->write_file('root/exp_1', 'bytes of exp_1');
$t->write_file('root/a-1', 'bytes of a-1');

my @lines = (
    (map { project_line(project => $_->[0], id => "exp_$_->[1]") }
         ['one', 1], ['two', 2], map { ['long', $_] } 1 .. 500),
    (map { user_line(user => $_->[0], uuid => "$_->[1]-1") }
         [1, 'a'], [2, 'b'], [12, 'c']),
);

my $store = $t->store('store', @lines);
my $other = $t->store('other', project_line(project => 'one', id => 'exp_9'));

my %token = (
    one => $t->token($store, project => 'one', admin => 1),
    one_too => $t->token($store, project => 'one'),
    two => $t->token($store, project => 'two'),
    long => $t->token($store, project => 'long'),
    a => $t->token($store, user => 1), b => $t->token($store, user => 2),
    c => $t->token($store, user => 12),
    revoked => $t->token($store, user => 1,
                         revoked_at => '2020-01-01T00:00:00Z'),
    elsewhere => $t->token($other, project => 'one'),
);

sub get {
    my ($who, $uri, @headers) = @_;
    return $t->get($uri, $who ? (Authorization => "Bearer $token{$who}") : (),
                   @headers);
}

# what is in a list of either API
sub listed { join ' ', $_[0]->body =~ /\{"(?:uu)?id":"([^"]+)"/g }

$t->run;


# ---- a proxy in front ------------------------------------------------------

is $t->get('/static')->body, $t->get('/static')->body, 'the proxy does cache';

for my $round (1, 2) {
    is listed(get('a', '/exports')), 'a-1', "round $round: a user";
    is listed(get('b', '/exports')), 'b-1', 'another one';
    is get(undef, '/exports')->status, 401, 'nobody';
    is get('revoked', '/exports')->status, 401, 'a token that was revoked';
    is listed(get('one', '/projects/one/exports')), 'exp_1', 'a project';
    is get('two', '/projects/one/exports')->status, 401, "another one's token";
    is get('one', '/projects/one/export/download/exp_1')->body,
       'bytes of exp_1', 'a download';
    is get(undef, '/projects/one/export/download/exp_1')->status, 401,
       'of nobody';
    is get('one', '/projects/one/export/download/exp_2')->status, 404, 'a 404';
}

my $link = get('a', '/exports')->json->{data}[0]{download_url};
$link =~ s{^http://[^/]+}{};

is get(undef, $link)->body, 'bytes of a-1', 'a link';
is get(undef, $link =~ s/.\z/x/r)->status, 403, 'a forged one, after it';

my @kept = map { my $r = get('a', $_); $r->header('X-Cache') // $r->status }
               '/exports', '/projects/one/exports', $link, '/exports/none';
is "@kept", 'MISS 401 MISS 404', 'none of it is kept';

# with Cache-Control ignored there is still Vary

is listed(get('a', '/exports', port => 'bad')), 'a-1', 'ignoring it: a user';
is get('a', '/exports', port => 'bad')->header('X-Cache'), 'HIT',
   'ignoring it: is kept';
is listed(get('b', '/exports', port => 'bad')), 'b-1',
   'ignoring it: another user has his own';
is get(undef, '/exports', port => 'bad')->status, 401, 'ignoring it: nobody';


# ---- the host, which a client may choose -----------------------------------

sub links {
    my ($who, $host, $uri) = @_;
    my $r = $t->http("GET $uri HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n"
                     . "Authorization: Bearer $token{$who}\r\n\r\n", 'back');
    return join ' ', sort { $a cmp $b } keys %{ { map { $_ => 1 }
                         $r =~ m{"(http://[^"]*?)/(?:exports|twin)[/?"]}g } };
}

for my $round (1, 2) {
    for my $host ('first.test', 'second.test', 'second.test:81', 'a', 'aa') {
        is links('a', $host, '/exports'), "http://$host",
           "round $round: links to $host, who asked";
    }

    SKIP: {
        skip 'this nginx answers such a host with 400', 1
            if $t->nginx_version ge v1.29.4;
        is links('a', 'x"y.test', '/exports'), 'http://x%22y.test',
           'a quote in it is encoded';
    }
}

like get('a', '/exports', port => 'back')->body, qr{localhost/exports/a-1/},
     'the prefix of one location';
like get('a', '/twin', port => 'back')->body, qr{localhost/twin/a-1/},
     'and of another one';


# ---- pages that could be taken for each other ------------------------------

# names that begin alike, arguments that say the same or almost, two stores

my @asked = map { my $who = $_; map { [$who, $_] }
                  ('', '?page=1', '?page=2', '?per_page=1', '?per_page=11',
                   '?filter[status]=ready', '?filter[status]=failed',
                   '?filter[type]=contacts', '?filter[type]=contact',
                   '?filter[type]=con,tacts', '?filter[subject_id]=1',
                   '?filter[type]=ready', '?filter[subject_type]=contacts') }
            qw(a b c);
my (%body, @wrong);

for (1 .. 3) {
    for (sort { $a->[2] <=> $b->[2] } map { [@$_, rand] } @asked) {
        my ($who, $query) = @$_;
        my $r = get($who, "/exports$query", port => 'back');
        my $body = $r->body;

        $body{"$who $query"} //= $body;

        push @wrong, "$who $query: changed" if $body ne $body{"$who $query"};
        push @wrong, "$who $query: another user's"
            if grep { !/^$who-1$/ } split / /, listed($r);
    }
}

is "@wrong", '', 'pages of three users, again and again';

for (1 .. 2) {
    is listed(get('one', '/projects/one/exports', port => 'back')), 'exp_1',
       'a project of one store';
    is listed(get('elsewhere', '/other/one/exports', port => 'back')), 'exp_9',
       'of the same name in another store';
    is get('elsewhere', '/projects/one/exports', port => 'back')->status, 401,
       "the other store's token";
}


# ---- ETags -----------------------------------------------------------------

my %etag;

for (['a', '/exports'], ['b', '/exports'], ['c', '/exports'], ['a', '/twin'],
     ['a', '/exports?page=2'], ['one', '/projects/one/exports'],
     ['two', '/projects/two/exports'], ['elsewhere', '/other/one/exports'])
{
    my ($who, $uri) = @$_;
    $etag{"$who $uri"} = get($who, $uri, port => 'back')->header('ETag');
}

my %differ = map { $_ => 1 } values %etag;
is scalar keys %differ, scalar keys %etag, 'an ETag for each page';

for my $tag (values %etag) {
    for (['b', '/exports'], ['one_too', '/projects/one/exports']) {
        my ($who, $uri) = @$_;
        my $own = get($who, $uri, port => 'back')->header('ETag');
        my $r = get($who, $uri, port => 'back', 'If-None-Match' => $tag);

        is $r->status, $tag eq $own ? 304 : 200, "$who: an ETag";
    }
}

# who is not let in does not learn whether an ETag is good

is get($_, '/exports', port => 'back', 'If-None-Match' => $etag{'a /exports'})
       ->status, 401, 'an ETag without a token' for undef, 'revoked', 'one';
is get('two', '/projects/one/exports', port => 'back',
       'If-None-Match' => '*')->status, 401, "another project's token, and *";


# ---- a token that was good -------------------------------------------------

SKIP: {
    skip 'there is no exports_page_cache', 3 if !$pages;

    my $hit = $t->token($store, user => 1);
    my @auth = (Authorization => "Bearer $hit", port => 'back');

    is $t->get('/exports', @auth)->status, 200, 'a page that is kept';

    $t->ctl_ok('token', 'revoke', $store,
               'tok_' . substr sha256_hex($hit), 0, 16);

    is $t->get('/exports', @auth)->status, 401, 'is not for a revoked token';
    is listed(get('a', '/exports', port => 'back')), 'a-1', 'but for others';
}



# ---- clients that read slowly, of one page ---------------------------------

SKIP: {
    skip 'there is no exports_page_cache', 4 if !$pages;

    my $uri = '/projects/long/exports?limit=500';
    get('long', $uri, port => 'back') for 1 .. 3;

    # the end of a body is the request's own, though it is sent last

    my @slow = map { $t->connect('back') } 1 .. 4;

    for my $c (@slow) {
        setsockopt $c->{socket}, SOL_SOCKET, SO_RCVBUF, 16384;
        $c->send(Exports::Test::request_text('GET', $uri,
                     Authorization => "Bearer $token{long}"));
        $c->_until(sub { $c->{in} =~ /\r\n\r\n/ }) or die 'no answer';
    }

    for my $r (map { $_->response('GET') } @slow) {
        is $r->header('X-Page') . ' ' . $r->json->{request_id},
           'HIT ' . $r->header('X-Request-Id'), 'its own request ID';
    }
}

$t->done;
done_testing;
