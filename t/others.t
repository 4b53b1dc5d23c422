# Other modules around ours: t/others is one, which does what those of nginx
# do not; and by its clock what comes when a minute is over.

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

my ($incs) = $t->read_file("$built/Makefile")
             =~ m{^ALL_INCS = ((?:.*\\\n)*.*)}m;

my ($exit, undef, $err) = $t->_exec({}, (split ' ', $ENV{CC} || 'gcc'),
    qw(-shared -fPIC -O -Wall -Werror), '-o', $module,
    (map { m{^/} ? "-I$_" : "-I$source/$_" } $incs =~ m{-I (\S+)}g),
    map { $t->top . "/t/others/ngx_http_others_$_.c" } qw(module guard));

plan tests => 77;

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
    exports_rate_zone minute:32k;
    exports_operation_zone runs:32k idle=25s;

    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ {
            exports_api project;
            exports_redirect other /other/;
        }
        location /other/ { internal; others_answer; }
        location /guard { others_guard; }

        location /finalize/ {
            exports_api project;
            exports_root %%DIR%%/files;
            others_refuse 503;
            others_finalize on;
            gzip on;
        }
        location /slow/ {
            exports_api project;
            others_refuse 503;
            others_finalize on;
            limit_rate 300;
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


        exports_link_key_file %%DIR%%/key;
        exports_rate_limit rate rate=100r/m;
        location /refused/404 { exports_api user; others_refuse 404; }
        location /refused/405 { exports_api user; others_refuse 405; }
        location /refused/503 { exports_api user; others_refuse 503; }
    }

    server {
        listen 127.0.0.1:%%PORT_later%%;
        exports_link_key_file %%DIR%%/key;
        exports_rate_limit minute rate=2r/m;
        location /now { exports_api user; }
        location /half { exports_api user; others_later 30s; }
        location /minute { exports_api user; others_later 60s; }
        location /far { exports_api user; others_later 180s; }

        exports_operations runs;
        location /at0/ { exports_api project; }
        location /at30/ { exports_api project; others_later 30s; }
        location /at45/ { exports_api project; others_later 45s; }
        location /at60/ { exports_api project; others_later 60s; }
        location /at75/ { exports_api project; others_later 75s; }
        location /at90/ { exports_api project; others_later 90s; }
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

# also if it cannot be sent at once

is_error $t->get('/slow/demo/exports', @auth, @$_), 503, 'store_unavailable',
         "slowly: @$_" for [], ['If-None-Match' => '*'];

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
is join(' ', map { $_->status, $_->headers('X-RateLimit-Limit') }
             $t->get("/refused/$_", @user)), $_, "$_ does not tell it"
    for 404, 405, 503;


# a read that waits for the disk is none that has no end, whatever the threads
# of others compute meanwhile

for (1, 2) {
    is $t->get('/guard')->status, 204, 'a read waits, a thread computes';
    is $t->get('/guard?loop')->status, 409, 'a read that computes for ever';
}


# the minute of the rate limit: what t/others adds to nginx's clock is gone with
# the answer

sub pipeline {
    my (@requests) = @_;
    my $c = $t->connect('later');

    $c->send(map { Exports::Test::request_text('GET', @$_) } @requests);

    my @answers = map { $c->response } @requests;
    $c->close;

    return @answers;
}

# status, what remains, when to come again, as one string
sub counted {
    return join ', ', map {
        join ' ', $_->status, $_->header('X-RateLimit-Remaining') // '-',
            ($_->header('Retry-After') // '-') =~ s/^(?:5\d|60)\z/minute/r;
    } pipeline(@_);
}

is counted((['/now', @user]) x 2), '200 1 -, 200 0 -', 'a window';
like counted(['/half', @user]), qr/^429 0 (?:[12]\d|30)\z/, 'half of it';
is counted((['/minute', @user]) x 3), '200 1 -, 200 0 -, 429 0 minute',
   'a minute later: another one';
is counted(['/now', @user]), '429 0 minute', 'which lies a little ahead';
is counted(['/far', @user]), '200 1 -', 'another one, far ahead';
is counted((['/now', @user]) x 2), '200 0 -, 429 0 minute',
   'which goes on where the time is behind';

# a full zone

my @crowd = map { "crowd_$_" } 1 .. 400;
my @late = (Authorization => 'Bearer ' . $t->token($store, user => 'late'));
$t->ctl_ok('token', 'import', $store, '-', { stdin => join '', map {
    token_line($_, user => $_) . "\n" } @crowd });

sub all { map { [$_[0], Authorization => "Bearer $_"] } @crowd }

is counted(all('/now')), join(', ', ('200 1 -') x 400), '400 users';
is counted((['/now']) x 3), join(', ', ('401 1 -') x 3),
   'an address: uncounted';
is counted(['/half', @late]), '200 1 -', 'a user, when half of it is over';
is counted((['/minute']) x 3), '401 1 -, 401 0 -, 429 0 minute',
   'a minute later it has the place of a user';
is counted(['/minute', Authorization => "Bearer $crowd[0]"], ['/minute']),
   '200 1 -, 429 0 minute', 'and a user that of another user';
is counted(all('/minute')), join(', ', '200 0 -', ('200 1 -') x 399),
   '400 users again';
is counted((['/minute']) x 2), join(', ', ('401 1 -') x 2),
   'an address: uncounted';
is join(', ', $t->error_log =~ /zone "minute" is full of users, (\d+) req/g),
   '1, 3', 'that is said once a minute, and how often it was';


# idle runs: one that was renewed, and has to give way, leaves nothing behind in
# what takes its place

sub run_at {
    my ($at, $token, $run, @headers) = @_;
    return ["/at$at/demo/exports", Authorization => "Bearer $token",
            'X-Operation-Key' => 'key', 'X-Operation-Run-Id' => $run, @headers];
}

# as one string: how the run is grouped, and its name
sub grouped {
    return map { join ' ', @{ $_->json }{qw(operation_grouping_status
                                            operation_run_id)} } @_;
}

my $token = $auth[1] =~ s/^Bearer //r;
is join('', grouped(pipeline(run_at(0, $token, 'run')))),
   'accepted_provided_run run', 'a run';

# a token that has its share gives up the run that it has not used for longest

my $many = $t->token($store, project => 'demo');

pipeline(map { run_at(0, $many, "run_$_") } 1 .. 8, 1, 9);
is join(' ', map { s/ .*//r } grouped(map { pipeline(run_at(30, $many, $_)) }
                                      qw(run_1 run_9 run_2))),
   'renewed_after_idle renewed_after_idle accepted_provided_run',
   'more runs than a token may have';

($r) = pipeline(run_at(30, $token, 'run', 'If-None-Match' => '*'));
is $r->status, 200, 'renewed when idle: never a 304';

my $renewed = $r->json->{operation_run_id};
is join('', grouped($r)), "renewed_after_idle $renewed",
   'renewed when idle: another run';

# it stays active, while the runs of others come and become idle

pipeline(map { run_at($_, $token, $renewed) } 45, 60);

my @runs = map { ["t$_", "run_$_"] } 1 .. 150;
$t->ctl_ok('token', 'import', $store, '-', { stdin => join '', map {
    token_line($_->[0], project => 'demo') . "\n" } @runs });

my (%status, @strange);

for (@runs) {
    my ($other, $run) = @$_;

    pipeline(run_at(30, $other, $run), run_at(75, $token, $renewed));

    for my $at (60, 90) {
        my ($status, $id) = split ' ', (grouped(pipeline(
            run_at($at, $other, $run))))[0];

        $status{$status}++;
        push @strange, $id if $id eq $renewed;
        $run = $id;
    }
}

is_deeply \%status, { renewed_after_idle => 300 }, '150 runs: renewed, twice';
is "@strange", '', 'none by a run of another token';
is join('', grouped(pipeline(run_at(90, $token, $renewed)))),
   "accepted_provided_run $renewed", 'which is active still';

$t->done;
