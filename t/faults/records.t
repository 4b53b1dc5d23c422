# One record is damaged: what needs it is answered 500, everything else as
# before, and the log has a line, one a second, and how many it has not.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Digest::SHA qw(sha256_hex);
use List::Util;

use Exports::Faults;
use Exports::Test;

plan tests => 21;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 1;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    exports_store %%DIR%%/store;
    exports_root %%DIR%%;
    exports_link_key_file %%DIR%%/key;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /exports { exports_api user; }
        location /other/ { return 200 other; }
    }
}
EOC

my $store = $t->store('store', map { project_line(
    project => 'demo', id => "exp_$_", table => "findme_$_", storage_key => 'x',
    created_at => stamp(1_700_000_000_000_000 + $_)) } 10 .. 39);
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));
my $uri = '/projects/demo/exports';

# tokens, which are damaged too, by the only names that they have

my $token = $t->token($store, project => 'demo', tables => ['findtables']);
my $other = $t->token($store, user => 'finduser');

$t->write_file('x', 'content');
$t->write_file('key', 'k' x 32 . "\n");
chmod 0600, $t->path('key') or die "chmod: $!";
$t->run;

my @right = map { masked($t->get("$uri?limit=10&offset=$_", @auth)->body) }
            0, 10, 20;

my $load = Exports::Faults->load($t, 1, sub {
    my ($client) = @_;
    my $i = (0, 2)[$client->{n}++ % 2];
    my $r = $client->ask("$uri?limit=10&offset=${i}0", @auth);

    $client->fault('another page: ' . $r->raw)
        if $r && ($r->status != 200 || masked($r->body) ne $right[$i]);

    $r = $client->ask('/other/');
    $client->fault('another location: ' . $r->raw)
        if $r && ($r->status != 200 || $r->body ne 'other');
});

my $data = $t->read_file("$store/data.mdb");
open my $fh, '+<:raw', "$store/data.mdb" or die "open: $!";
while ($data =~ /findme_25/g) {
    seek $fh, $-[0], 0;
    print $fh 'findme_52';
}
close $fh or die "close: $!";

$t->allow_log(qr/damaged record|left out/);

sub lines { scalar(() = $t->error_log =~ /\[crit\].*damaged record/g) }
my $began = time;

is_error $t->get("$uri?limit=10&offset=10", @auth), 500, 'internal_error',
         'the page that it is on';
is lines(), 1, 'one line in the log';
is_error $t->get("$uri?limit=1&offset=14", @auth), 500, 'internal_error',
         'by itself';
is $t->get("$uri?limit=4&offset=10", @auth)->status, 200, 'up to it';
is_error $t->get('/projects/demo/export/download/exp_25', @auth), 500,
         'internal_error', 'its file';
like $t->error_log, qr/damaged record or index of export "exp_25"/,
     'which a line of the list does not hold back';

# until one of them is logged again, behind some that are not

my $asked = 3;
ok wait_for(sub {
    my $before = lines();
    $asked++;
    $t->get("$uri?limit=1&offset=14", @auth);
    return lines() > $before && $t->error_log =~ /left out/;
}), 'one a second of each is logged';

my @left_out = $t->error_log
               =~ /\[crit\].* (\d+) messages about "demo", .* left out/g;
cmp_ok scalar(@left_out), '>', 0, 'the others are left out';
is lines() + List::Util::sum(0, @left_out), $asked, 'and counted';
cmp_ok lines(), '<=', time - $began + 3, 'one a second of each';
is $t->get('/projects/demo/export/download/exp_24', @auth)->body, 'content',
   'another file';

# a token: it is named, as "verify" does, not what it was to be used for

cmp_ok $t->damage($store, 'findtables', 'findtablet'), '>', 0, 'a token';
cmp_ok $t->damage($store, 'finduser', 'findused'), '>', 0, "a user's";

sub named {
    my $id = 'tok_' . substr sha256_hex($_[0]), 0, 16;

    return qr/\[crit\].*damaged\ record\ or\ index\ of\ token\ "$id",
              \ or\ of\ its\ project\ or\ user;/x;
}

is $t->get($_, Authorization => "Bearer $token")->status, 500, "$_: a token"
    for $uri, '/projects/demo/export/download/exp_24';
like $t->error_log, named($token), 'the log names it';
is $t->get('/exports', Authorization => "Bearer $other")->status, 500,
   'the list of a user';
like $t->error_log, named($other), 'the log names the token';
unlike $t->error_log, qr/exports of "" cannot|of export "exp_24"/,
       'and nothing else';

$load->rounds(3);
no_faults($load->stop, 'the pages before and after');

$t->done;
