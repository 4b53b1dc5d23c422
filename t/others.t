# Other modules around ours: t/others is one, which does what those of nginx
# do not.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;
my $module = $t->path('others.so');

# the sources that this nginx was built from, and what configure made of them

my ($built) = $t->{nginx} =~ m{^(.*)/};
my ($source) = glob $t->top . '/build/nginx-source/*/' . ($built =~ s{.*/}{}r);

($source, $built) = ('/usr/share/nginx/src', $t->top . '/build/nginx')
    if !-e "$built/ngx_auto_config.h";

plan skip_all => 'the sources of this nginx lie elsewhere'
    if !$source || !-e "$source/src/core/nginx.h"
       || !-e "$built/ngx_auto_config.h";

my ($exit, undef, $err) = $t->_exec({}, (split ' ', $ENV{CC} || 'gcc'),
    qw(-shared -fPIC -O -Wall -Werror), '-o', $module,
    (map { "-I$source/src/$_" } qw(core event event/modules os/unix http
        http/modules http/v2)), "-I$built",
    $t->top . '/t/others/ngx_http_others_module.c');

plan tests => 47;

is $exit, 0, 'it compiles' or diag $err;

$t->conf(<<"EOC" . <<'EOC');
%%MAIN%%
load_module $module;
EOC
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    exports_rate_zone rate:1m;

    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ {
            exports_api project;
            exports_redirect other /other/;
        }
        location /other/ { internal; others_answer; }

        location /finalize/ {
            exports_api project;
            exports_root %%DIR%%/files;
            others_refuse 503;
            others_finalize on;
            gzip on;
        }
        location /status/ {
            exports_api project;
            exports_root %%DIR%%/files;
            exports_gzip on;
            others_refuse 403;
        }
        location /page/ {
            exports_api project;
            exports_root %%DIR%%/files;
            exports_gzip on;
            others_refuse 403;
            error_page 403 = @page;
        }
        location @page { return 200 "page\n"; }
        location /again/ {
            exports_api project;
            exports_root %%DIR%%/files;
            exports_gzip on;
            others_refuse 403;
            error_page 403 /projects/demo/exports?limit=0;
        }
        location /user {
            exports_api user;
            exports_link_key_file %%DIR%%/key;
            exports_rate_limit rate rate=100r/m;
            others_refuse 415;
        }
    }
}
EOC

mkdir $t->path('files');
$t->write_file('files/exp_0', 'a file');
chmod 0600, $t->write_file('key', 'k' x 32);

my $store = $t->store('store',
    project_line(project => 'demo', id => 'exp_1', storage_backend => 'other'),
    project_line(project => 'demo', id => 'exp_0', created_at =>
                 '2026-01-01T00:00:00Z'), user_line());
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));
my @user = (Authorization => 'Bearer ' . $t->token($store, user => 42));

$t->run;


# the length of an object is a header of its own: it is sent nevertheless

my ($c, $r) = $t->connect;

for my $n (1, 2) {
    $r = $c->get('/projects/demo/export/download/exp_1', @auth);
    is $r->header('Content-Length'), 5, "an object, $n: its length, once";
    is $r->body, "abcd\n", "an object, $n: its bytes";
    is_page $c->get('/projects/demo/exports', @auth), [qw(exp_1 exp_0)],
            { total => 2 }, "the next request, $n";
}

$c->close;

is $t->request('HEAD', '/projects/demo/export/download/exp_1', @auth)
     ->header('Content-Length'), 5, 'HEAD: its length';


# a filter behind ours takes no answer of ours: what nginx makes of it is JSON,
# with no header twice and none of the answer's

for (['finalize', 503, 'store_unavailable'], ['status', 403, 'forbidden']) {
    my ($location, $status, $code) = @$_;
    my $path = "/$location/demo";

    for (['a list', "$path/exports", @auth, 'Accept-Encoding' => 'gzip'],
         ['not modified', "$path/exports", @auth, 'If-None-Match' => '*'],
         ['an error', "$path/exports?limit=0", @auth],
         ['no token', "$path/exports"], ['no route', "$path/none"],
         ['a file', "$path/export/download/exp_0", @auth])
    {
        my ($what, @request) = @$_;
        my $name = "$location: $what";
        my $r = $t->get(@request);
        my %seen;

        is_error $r, $status, $code, $name;
        is join(' ', grep { $seen{$_}++ || !/^(?:server|date|connection
                   |content-(?:type|length)|cache-control|x-request-id)\z/x }
                split ' ', $r->header_names), '', "$name: headers";
    }

    is $t->request('HEAD', "$path/exports", @auth)->status, $status,
       "$location: HEAD";
}

# nor have the pages of an error_page

for my $request (['/demo/exports', 'Accept-Encoding' => 'gzip'],
                 ['/demo/export/download/exp_0'])
{
    my ($path, @headers) = @$request;
    my $r = $t->get("/page$path", @auth, @headers);
    my $name = "error_page for $path";

    is $r->status . ' ' . $r->body, "200 page\n", $name;
    is join(' ', grep { !/^(?:server|date|connection|content-(?:type|length))\z/ }
            split ' ', $r->header_names), '', "$name: headers";

    my %seen;
    $r = $t->get("/again$path", @auth, @headers);
    is_error $r, 403, 'validation_failed', "$name of ours";
    is join(' ', grep { $seen{$_}++ || /^(?:etag|vary|content-(?:encoding|disposition))\z/ }
            split ' ', $r->header_names), '', "$name of ours: headers";
}

$c = $t->connect;
is_error $c->get('/status/demo/exports', @auth, 'If-None-Match' => '*'), 403,
         'forbidden', 'on one connection';
is_page $c->get('/projects/demo/exports', @auth), [qw(exp_1 exp_0)],
        { total => 2 }, 'and the next';
$c->close;

$r = $t->get('/user', @user);
is $r->status . ' ' . ($r->json->{message} // ''),
   '415 The request cannot be processed.', 'the user API';
is join(' ', $r->headers('X-RateLimit-Limit')), '100', 'and its count';

$t->done;
