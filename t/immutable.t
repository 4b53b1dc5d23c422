# exports_store ... immutable: a store that nobody writes, without a lock file
# and in a directory that cannot be written to.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Copy ();
use Test::More;

use Exports::Test;

plan tests => 10;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ {
            exports_api project;
            exports_store %%DIR%%/frozen immutable check=50ms;
        }
        location /locked/ {
            exports_api project;
            exports_store %%DIR%%/other;
        }
    }
}
EOC

my $token = 'pat_the_same_everywhere';
my @auth = (Authorization => "Bearer $token");

# stores without lock.mdb, in directories that are closed to the workers

for my $name (qw(one two other)) {
    my $path = $t->store("made_$name", map { project_line(
        project => 'demo', id => "exp_${name}_$_") } 1 .. 3);
    $t->token($path, project => 'demo', token => $token);

    mkdir $t->path($name) or die "mkdir: $!";
    File::Copy::copy("$path/data.mdb", $t->path("$name/data.mdb"))
        or die "copy: $!";
    chmod 0444, $t->path("$name/data.mdb");
    chmod 0555, $t->path($name);
}

symlink 'one', $t->path('frozen') or die "symlink: $!";
$t->allow_log(qr{/other\b});
$t->run;

sub list { $t->get("/$_[0]/demo/exports", @auth) }

is list('projects')->json->{data}{total}, 3, 'served' for 1 .. 4;
is list('projects')->header('ETag'), list('projects')->header('ETag'),
   'a stable ETag';

SKIP: {
    skip 'all directories can be written to', 1 if $> == 0 && !$t->user;
    is_error list('locked'), 503, 'store_unavailable', 'not without the word';
}

ok !-e $t->path("$_/lock.mdb"), "$_: no lock file" for qw(one other);

symlink 'two', $t->path('new') or die "symlink: $!";
rename $t->path('new'), $t->path('frozen') or die "rename: $!";
ok wait_for(sub { my ($first) = ids(list('projects'));
                  $first =~ /^exp_two/ }), 'a swap is followed';

chmod 0755, $t->path($_) for qw(one two other);
$t->done;
