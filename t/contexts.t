# A variable of ours that nginx asks for before the handler runs, and where the
# request goes then: an "if", another location of ours, a fallback.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

plan tests => 28;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    exports_link_key_file %%DIR%%/key;
    log_format id '$exports_request_id $exports_scope $exports_error';

    server {
        listen 127.0.0.1:%%PORT%%;
        access_log %%DIR%%/access.log id;

        location /projects/ {
            exports_api project;
            exports_root %%DIR%%/files;
            set $rid $exports_request_id;
            if ($http_x_debug) { set $z 1; }
        }
        location /api/v3/exports {
            exports_api user;
            set $rid $exports_request_id;
            if ($http_x_debug) { set $z 1; }
        }

        location /old/ {
            exports_api project;
            exports_store %%DIR%%/none;
            set $rid $exports_request_id;
            rewrite ^/old/(.*) /projects/$1 last;
        }
        location /plain/ {
            set $rid $exports_request_id;
            rewrite ^/plain/(.*) /projects/$1 last;
        }

        location /standby/ {
            exports_api project;
            exports_store %%DIR%%/none;
            exports_fallback @second;
        }
        location @second {
            exports_api project prefix=/standby;
            set $rid $exports_request_id;
            add_header X-Rid $rid;
        }
        location /twice/ {
            exports_api project;
            exports_store %%DIR%%/none;
            exports_fallback @none;
        }
        location @none {
            exports_api project prefix=/twice;
            exports_store %%DIR%%/none;
            set $rid $exports_request_id;
        }
    }
}
EOC

mkdir $t->path('files') or die;
$t->write_file('key', 'k' x 32 . "\n");
chmod 0600, $t->path('key');
$t->write_file('files/exp_1', 'x' x 10);

my $store = $t->store('store',
    project_line(project => 'demo', id => 'exp_1', storage_key => 'exp_1'),
    user_line(user => 42));
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));
my @user = (Authorization => 'Bearer ' . $t->token($store, user => 42));

$t->allow_log(qr{/none});
$t->run;

# the headers that a second answer would double
sub is_single {
    my ($r, $name) = @_;
    is join('|', map { scalar $r->headers($_) }
            qw(X-Request-Id Cache-Control Content-Type)),
       '1|1|1', "$name: each header once" or diag $r->raw;
}


# ---- an "if" changes the configuration -------------------------------------

for my $debug ([], ['X-Debug' => 1]) {
    my $if = @$debug ? 'if' : 'no if';
    my $r;

    is_page $t->get('/projects/demo/exports', @auth, @$debug), ['exp_1'],
            { total => 1 }, "$if: a page";

    $r = $t->get('/projects/demo/exports?limit=0', @auth, @$debug);
    is_error $r, 400, 'validation_failed', "$if: a bad argument";
    is_single $r, "$if: a bad argument";

    $r = $t->get('/projects/demo/exports', Authorization => 'Bearer pat_x',
                 @$debug);
    is_error $r, 401, 'invalid_token', "$if: a bad token";
    is_single $r, "$if: a bad token";

    $r = $t->get('/api/v3/exports?page=0', @user, @$debug);
    ok $r->status == 422 && exists(($r->json // {})->{errors}{page}),
       "$if: a bad page" or diag $r->raw;
    is_single $r, "$if: a bad page";

    $r = $t->get('/projects/demo/export/download/exp_1', @auth, @$debug,
                 Range => 'bytes=100-');
    ok $r->status == 416 && !defined $r->header('Content-Disposition')
       && !defined $r->header('X-Content-Type-Options'),
       "$if: a range that cannot be" or diag $r->raw;
    is_single $r, "$if: a range that cannot be";
}


# ---- other locations -------------------------------------------------------

my $r = $t->get('/old/demo/exports', @auth);
is_page $r, ['exp_1'], { total => 1 }, 'from one of ours to another';
is_page $t->get('/plain/demo/exports', @auth), ['exp_1'], { total => 1 },
        'from one that is not ours';
is_error $t->get('/old/demo/none', @auth), 404, 'not_found',
         'from one of ours: no route';

$r = $t->get('/standby/demo/exports', @auth);
is_page $r, ['exp_1'], { total => 1 }, 'a second store';
is $r->header('X-Rid'), $r->header('X-Request-Id'), 'under one ID';

$r = $t->get('/standby/demo/exports?limit=0', @auth);
is_single $r, 'a second store, a bad argument';

$r = $t->get('/twice/demo/exports', @auth);
is_error $r, 503, 'store_unavailable', 'no store behind it either';
is_single $r, 'no store behind it either';

my $id = $t->get('/twice/demo/exports', @auth)->header('X-Request-Id');
ok wait_for { $t->read_file('access.log') =~ /^\Q$id\E /m },
   'the log has the ID that was sent';

$t->done;
