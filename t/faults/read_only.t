# A store on a read-only file system, with a writer elsewhere: its readers would
# be invisible to the writer, so that it is refused, with a reason.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Exports::Faults;
use Exports::Test;

in_namespace();

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ {
            exports_api project;
            exports_store %%DIR%%/ro/store;
        }
        location /sound/ { exports_api project; exports_store %%DIR%%/good; }
        location /other/ { return 200 other; }
    }
}
EOC

my $token = 'pat_of_all';
my @auth = (Authorization => "Bearer $token");

mkdir $t->path($_) or die "mkdir: $!" for 'rw', 'ro';

my $store = $t->store('rw/store', project_line(project => 'demo', id => 'exp_1'));
$t->token($store, project => 'demo', token => $token);
generation($t, 'good', 20, $token);

sub mount {
    my ($exit, undef, $err) = $t->_exec({}, 'mount', @_);
    return if $exit == 0;
    die "mount: $err" if Test::More->builder->has_plan;
    plan skip_all => "mount: $err";
}

mount('--bind', $t->path('rw'), $t->path('ro'));
mount('-o', 'remount,ro,bind', $t->path('ro'));
plan tests => 10;

$t->allow_log(qr{/ro/store\b});
$t->run;

my $right = masked($t->get('/sound/demo/exports', @auth)->body);
my $load = Exports::Faults->load($t, 1, sub {
    my ($client) = @_;
    my $r = $client->ask('/sound/demo/exports', @auth);

    $client->fault('another store: ' . $r->raw)
        if $r && ($r->status != 200 || masked($r->body) ne $right);

    $r = $client->ask('/projects/demo/exports', @auth);
    $client->count($r->status) if $r;

    $r = $client->ask('/other/');
    $client->fault('another location: ' . $r->raw)
        if $r && ($r->status != 200 || $r->body ne 'other');
});

# the writer, by the other path, between two lines

my $writer = $t->start_ctl('import', $store, '-', '--batch', 1);
print { $writer->{in} } project_line(project => 'demo', id => 'exp_2'), "\n";
ok wait_for(sub { 2 == (() = $t->ctl_ok('export', $store) =~ /\n/g) }),
   'a writer has it open';

is_error $t->get('/projects/demo/exports', @auth), 503, 'store_unavailable',
         'refused';
like $t->error_log, qr{\[crit\][^\n]*/ro/store[^\n]*read-only file system},
     'the log says why';

my ($exit, undef, $err) = $t->ctl('list', $t->path('ro/store'), '--project',
                                  'demo');
is $exit, 1, 'exportsctl: refused';
like $err, qr/read-only file system/, 'exportsctl: why';

($exit, undef, $err) = $t->finish($writer);
is $exit, 0, 'the writer is not disturbed' or diag $err;

# with the file system writable it is served

mount('-o', 'remount,rw,bind', $t->path('ro'));
my $r;
wait_for { $r = $t->get('/projects/demo/exports', @auth); $r->status == 200 };
is total($r), 2, 'recovers';

my $report = $load->stop;
no_faults($report, 'others are served');
cmp_ok $report->{counts}{503} // 0, '>', 0, '503 meanwhile';

$t->stop;
system 'umount', $t->path('ro');
$t->done;
