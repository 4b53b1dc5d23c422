# Tokens: which are good for a list, what is said to the others, and when.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA 'sha256_hex';
use Test::More;
use Time::HiRes ();

use Exports::Test;

my $MISSING = 'Missing Bearer token.';
my $INVALID = 'The token is invalid for this route.';

plan tests => 74;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    limit_req_zone $server_port zone=late:1m rate=15r/m;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /late/ {
            exports_api project;
            set $id $exports_request_id;
            limit_req zone=late burst=5;
        }
    }
}
EOC

my $store = $t->store('store',
    project_line(project => 'demo', id => 'exp_1'),
    project_line(project => 'other', id => 'exp_2'),
    project_line(project => 'dome', id => 'exp_3'),
    user_line(user => 'demo'));

my $good = $t->token($store, project => 'demo');

$t->run;

sub list {
    my ($authorization, $args, $method) = @_;
    return $t->request($method // 'GET',
        '/projects/demo/exports' . ($args // ''),
        defined $authorization ? (Authorization => $authorization) : ());
}

sub bearer { list("Bearer $_[0]") }


# no bearer

is_error list(), 401, 'missing_authorization', $MISSING, 'no header';
is_error list($_), 401, 'missing_authorization', $MISSING, "\"$_\""
    for '', 'Bearer', $good, 'Basic ZGVtbzpkZW1v', "Bearer$good",
        "Token $good", "Bear $good", "Bearers $good", "Basic Bearer $good",
        "Bearer:$good", "=Bearer $good";
is_error list(undef, '?access_token=' . $t->token($store, project => 'demo')),
         401, 'missing_authorization', $MISSING, 'a token in the query';
is list()->header('WWW-Authenticate'), 'Bearer', 'WWW-Authenticate';


# bearers

is_page list($_ . $good), ['exp_1'], { total => 1 }, "\"$_\""
    for 'Bearer ', 'bearer ', 'BEARER ', 'bEaReR ', 'Bearer  ';

my $r = $t->get('/projects/demo/exports', authorization => "   Bearer $good  ");
is $r->status, 200, 'white space around a header\'s value is none of it';


# not valid here

is_error bearer('pat_unknown'), 401, 'invalid_token', $INVALID, 'unknown';
is bearer('x')->header('WWW-Authenticate'), 'Bearer', 'WWW-Authenticate';

is_error bearer($_), 401, 'invalid_token', $INVALID, 'unknown: altered'
    for substr($good, 0, -1), "${good}x", uc $good, "$good $good", "$good,",
        "\"$good\"", sha256_hex($good), 'x' x 3000, "\xff\xfe", '%70at';

my %bad = (
    expired => { project => 'demo', expires_at => '2020-01-01T00:00:00Z' },
    revoked => { project => 'demo', revoked_at => '2020-01-01T00:00:00Z' },
    inactive => { project => 'demo', active => 0 },
    'of another project' => { project => 'other' },
    'of a project of another name as long' => { project => 'dome' },
    'of a project without manifests' => { project => 'dem' },
    'admin of another project' => { project => 'other', admin => 1 },
    'of the user of that name' => { user => 'demo' },
    'expired admin' => { project => 'demo', admin => 1,
                         expires_at => '2020-01-01T00:00:00Z' },
);

for (sort keys %bad) {
    my $token = $t->token($store, %{ $bad{$_} });
    $r = bearer($token);
    is_error $r, 401, 'invalid_token', $INVALID, $_;
    is $r->header('WWW-Authenticate'), 'Bearer', "$_: WWW-Authenticate";
}


# valid here, and any token of a project lists everything

my %all = (
    'not yet expired' => { expires_at => '2999-01-01T00:00:00Z' },
    admin => { admin => 1 },
    'of other tables' => { tables => ['invoices'] },
    active => { active => 1, revoked_at => undef, expires_at => undef,
                created_at => '2020-01-01T00:00:00Z' },
);

for (sort keys %all) {
    is_page bearer($t->token($store, project => 'demo', %{ $all{$_} })),
            ['exp_1'], { total => 1 }, $_;
}


# unknown projects do not differ from known ones

is_error $t->get('/projects/nobody/exports', Authorization => "Bearer $good"),
         401, 'invalid_token', $INVALID, 'an unknown project';


# what comes first: route, method, authorization, arguments

is_error $t->get('/projects/demo/nothing'), 404, 'not_found', 'route first';
is_error $t->request('POST', '/projects/demo/nothing', body => 'x'), 404,
         'not_found', 'route before the method';
is_error list(undef, '', 'DELETE'), 405, 'method_not_allowed',
         'method before the authorization';
is_error list(undef, '?limit=0'), 401, 'missing_authorization', $MISSING,
         'authorization before the arguments';
is_error list('Bearer x', '?limit=0'), 401, 'invalid_token', $INVALID,
         'a valid token before the arguments';
is_error list("Bearer $good", '?limit=0'), 400, 'validation_failed',
         'then the arguments';

$r = list(undef, '', 'HEAD');
is $r->status, 401, 'HEAD';
is $r->header('WWW-Authenticate'), 'Bearer', 'HEAD: WWW-Authenticate';


# revocation, and expiry, at the next request

my $c = $t->connect;
my @auth = (Authorization => "Bearer $good");

is $c->get('/projects/demo/exports', @auth)->status, 200, 'before';
$t->ctl_ok('token', 'revoke', $store, 'tok_' . substr sha256_hex($good), 0, 16);
is_error $c->get('/projects/demo/exports', @auth), 401, 'invalid_token',
         $INVALID, 'revoked, on the same connection';

my $brief = $t->token($store, project => 'demo',
                      expires_at => stamp(int((time + 8) * 1e6)));
is bearer($brief)->status, 200, 'about to expire';
wait_for { $r = bearer($brief); $r->status != 200 };
is_error $r, 401, 'invalid_token', $INVALID, 'expired meanwhile';

# what counts is the time of the answer: the second one waits for four seconds
# behind the first, with its ID made

$brief = $t->token($store, project => 'demo',
                   expires_at => stamp(int((Time::HiRes::time() + 3.5)
                                           * 1e6)));
@auth = (Authorization => "Bearer $brief");

is $t->get('/late/demo/exports', @auth)->status, 200, 'in time';
$r = $t->get('/late/demo/exports', @auth);
is_error $r, 401, 'invalid_token', $INVALID, 'expired while it waited';

my ($made_at) = $r->json->{request_id} =~ /^req_(\d{8}T\d{6})_/;
cmp_ok $r->json->{meta}{generated_at} =~ tr/-:Z//dr, 'gt', $made_at,
       'the time of the answer';


# one that exportsctl makes up

my $out = $t->ctl_ok('token', 'create', $store, '--project', 'demo');
my ($made) = grep { bearer($_)->status == 200 } $out =~ /([\w.~+\/=-]+)/g;
ok $made, 'a created token' or diag $out;
ok $t->read_file("$store/data.mdb") !~ /\Q$made/, 'is not stored';
ok $t->error_log !~ /\Q$made\E|\Q$good\E/, 'nor logged';

$t->done;
