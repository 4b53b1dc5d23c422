# Files of a store that the workers may not read or write: 503, and a message
# that names the file and the user.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;

plan skip_all => 'workers run as another user only when started by root'
    if !$t->user;

# what is done to a store, and the file that must be named
my @cases = (
    ['lock', 'lock.mdb', sub { chmod 0600, "$_[0]/lock.mdb" }],
    ['lockread', 'lock.mdb', sub { chmod 0640, "$_[0]/lock.mdb" }],
    ['lockowner', 'lock.mdb', sub { chown -1, 0, "$_[0]/lock.mdb" }],
    ['data', 'data.mdb', sub { chmod 0600, "$_[0]/data.mdb" }],
    ['dataowner', 'data.mdb', sub { chown -1, 0, "$_[0]/data.mdb" }],
    ['directory', '', sub { chmod 0700, $_[0] }],
    ['nolock', 'lock.mdb', sub { unlink "$_[0]/lock.mdb";
                                 chmod 02750, $_[0] }],
);

plan tests => 5 * @cases + 3;

my $locations = join "\n", map {
    "location /$_->[0]/ { exports_api project; "
    . "exports_store %%DIR%%/store_$_->[0]; }"
} @cases;

$t->conf(<<"EOC");
%%MAIN%%
events { }
http {
    %%HTTP%%
    server {
        listen 127.0.0.1:%%PORT%%;
        $locations
        location /good/ { exports_api project; exports_store %%DIR%%/good; }
    }
}
EOC

my $token = 'pat_the_same_everywhere';
my @auth = (Authorization => "Bearer $token");
my $user = $t->user;
my $group = (getpwnam $user)[3];

sub make {
    my ($name) = @_;
    my $path = $t->store($name, project_line(project => 'demo'));
    $t->token($path, project => 'demo', token => $token);
    return $path;
}

for (@cases) {
    my ($name, $file, $spoil) = @$_;
    $spoil->(make("store_$name"));
}

make('good');
$t->allow_log(qr{/store_\w+});
$t->run;

# what init makes of its own, for the group of the directory above
is sprintf('%04o', (stat $t->path("good$_->[0]"))[2] & 07777), $_->[1],
   "good$_->[0]: mode" for ['', '2770'], ['/data.mdb', '0640'];

for (@cases) {
    my ($name, $file) = @$_;
    my $path = $t->path("store_$name");
    my $r = $t->get("/$name/demo/exports", @auth);

    is_error $r, 503, 'store_unavailable', $name;
    my ($line) = $t->error_log =~ /^(.*store_$name\b.*)$/m;
    like $line, qr{\Q$path\E(?:/\Q$file\E)?\W}, "$name: names the file";
    like $line, qr/"\Q$user\E"/, "$name: names the user";
    like $line, qr/denied/i, "$name: gives the reason";

    # mended as the message says, it is taken up

    chmod 02770, $path;
    chmod 0640, "$path/data.mdb";
    chmod 0660, "$path/lock.mdb";
    chown -1, $group, $path, "$path/data.mdb", "$path/lock.mdb";

    wait_for { $r = $t->get("/$name/demo/exports", @auth);
               $r->status == 200 };
    is $r->status, 200, "$name: recovers" or diag $r->raw, $t->error_log;
}

$t->done;
