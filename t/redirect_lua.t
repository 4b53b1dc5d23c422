# A storage that is not an upstream: a handler that goes on with its body
# whatever became of its headers, as that of the Lua module does.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    exports_redirect lua /lua/;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /lua/ {
            internal;
            content_by_lua_block {
                local status, first = ngx.var.uri:match("/(%d+)(.?)$")
                ngx.status = tonumber(status)
                if first == "h" then ngx.send_headers() end
                ngx.say("of lua")
            }
        }
    }
}
EOC

my ($exit) = $t->check_conf($t->{template});
plan skip_all => 'nginx without its Lua module' if $exit != 0;

my @ids = map { ("exp_$_", "exp_${_}h") } 200, 403, 404, 416, 500, 503;

plan tests => 2 * @ids + 2;

my $store = $t->store('store', map {
    project_line(project => 'demo', id => $_, storage_backend => 'lua',
                 storage_key => s/exp_//r) } @ids);
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));

$t->run;

# the answer that follows on the same connection must be its own

my $c = $t->connect;

for my $id (@ids) {
    my ($status) = $id =~ /(\d+)/;
    my $want = $status =~ /^(?:200|404|416)$/ ? $status : 502;
    my $r = $c->get("/projects/demo/export/download/$id", @auth);

    is $r->status . ($status == 200 ? $r->body : ''),
       $want . ($status == 200 ? "of lua\n" : ''), "$id: what it answers";
    is $c->get('/projects/demo/exports?limit=1', @auth)->status, 200,
       "$id: the next request";
}

like $t->error_log, qr/storage "lua" answered 503 for export "exp_503h"/,
     'it is logged';

$t->done;
