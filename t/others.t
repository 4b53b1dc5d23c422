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

plan tests => 10;

is $exit, 0, 'it compiles' or diag $err;

$t->conf(<<"EOC" . <<'EOC');
%%MAIN%%
load_module $module;
EOC
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;

    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ {
            exports_api project;
            exports_redirect other /other/;
        }
        location /other/ { internal; others_answer; }
    }
}
EOC

my $store = $t->store('store',
    project_line(project => 'demo', id => 'exp_1', storage_backend => 'other'));
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));

$t->run;


# the length of an object is a header of its own: it is sent nevertheless

my $c = $t->connect;

for my $n (1, 2) {
    my $r = $c->get('/projects/demo/export/download/exp_1', @auth);
    is $r->header('Content-Length'), 5, "an object, $n: its length, once";
    is $r->body, "abcd\n", "an object, $n: its bytes";
    is_page $c->get('/projects/demo/exports', @auth), ['exp_1'],
            { total => 1 }, "the next request, $n";
}

$c->close;

is $t->request('HEAD', '/projects/demo/export/download/exp_1', @auth)
     ->header('Content-Length'), 5, 'HEAD: its length';
is_page $t->get('/projects/demo/exports', @auth), ['exp_1'], { total => 1 },
        'a list';

$t->done;
