# Stores that are not there, or are none: 503 with a reason in the log, other
# locations are served, and a store that appears is taken up without a reload.

use warnings;
use strict;
no warnings 'portable';

use FindBin;
use lib "$FindBin::Bin/lib";
use Fcntl;
use POSIX ();
use Test::More;

use Exports::Test;

my @bad = qw(empty garbage short truncated fifo directory nothing zero mdb1
             root newer file);

plan tests => 4 * @bad + 24;

my $t = Exports::Test->new;

my $locations = join "\n", map {
    "location /$_/ { exports_api project; exports_store %%DIR%%/link_$_; }"
} @bad;

$t->conf(<<"EOC");
%%MAIN%%
events { }
http {
    %%HTTP%%
    server {
        listen 127.0.0.1:%%PORT%%;
        $locations
        location /late/ { exports_api project; exports_store %%DIR%%/late; }
        location /deep/ {
            exports_api project;
            exports_store %%DIR%%/not/there/yet check=100ms;
        }
        location /other/ { return 200 "other\n"; }
    }
}
EOC

my @line = (project_line(project => 'demo', id => 'exp_1'));
my $good = $t->store('good', @line);
my $token = 'pat_the_same_everywhere';
$t->token($good, project => 'demo', token => $token);

my @auth = (Authorization => "Bearer $token");
my $data = $t->read_file('good/data.mdb');


# ---- stores that are none --------------------------------------------------

sub broken {
    my ($kind, $content) = @_;
    mkdir $t->path("bad_$kind") or die "mkdir: $!";
    $t->write_file("bad_$kind/data.mdb", $content) if defined $content;
}

broken('empty', '');
broken('garbage', join '', map { chr rand 256 } 1 .. 65536);
broken('short', substr $data, 0, 100);
broken('truncated', substr $data, 0, 8192);
broken('fifo');
POSIX::mkfifo($t->path('bad_fifo/data.mdb'), 0666) or die "mkfifo: $!";
broken('directory');
mkdir $t->path('bad_directory/data.mdb') or die "mkdir: $!";
broken('nothing');

# of both meta pages: the page size zero, another version, a root that lies
# behind the last page

my $page = unpack 'L', substr $data, 16 + 24, 4;
sub patched {
    my ($at, $bytes) = @_;
    my $copy = $data;
    substr $copy, $_ + $at, length $bytes, $bytes for 0, $page;
    return $copy;
}

broken('zero', patched(16 + 24, pack 'L', 0));
broken('mdb1', patched(16 + 4, pack 'L', 2));
broken('root', patched(16 + 24 + 48 + 40, pack 'Q', 1 << 40));

# a format that is not known yet: the value under "format" and its checksum

my $known = pack('Q>', 2) . checksum('format', pack 'Q>', 2);
my $newer = pack('Q>', 3) . checksum('format', pack 'Q>', 3);
my $places = () = $data =~ /\Q$known/g;
broken('newer', $data =~ s/\Q$known/$newer/gr);

# a file where the directory should be
$t->write_file('bad_file', 'not a directory');

for my $kind (@bad) {
    symlink $t->path("bad_$kind"), $t->path("link_$kind") or die "symlink: $!";
    next if !$t->user || $kind eq 'file';
    chmod 02770, $t->path("bad_$kind");
    chmod 0660, glob $t->path("bad_$kind/*");
}

# what the log must say of each
my %reason = (
    empty => qr/is empty/, garbage => qr/not an LMDB file/,
    short => qr/too short|not an LMDB|shorter/, truncated => qr/shorter/,
    fifo => qr/not a regular file/, directory => qr/not a regular file/,
    nothing => qr/No such file/, zero => qr/page size/, mdb1 => qr/version/,
    root => qr/damaged|root/, newer => qr/format 3/,
    file => qr/Not a directory/,
);

$t->allow_log(qr{/(?:link|bad)_\w+}, qr{/late|/not/there});
$t->run;


# ---- 503 -------------------------------------------------------------------

sub list { $t->get("/$_[0]/demo/exports", @auth) }

for my $kind (@bad) {
    my $r = list($kind);
    is_error $r, 503, 'store_unavailable', $kind;
    like $r->header('Retry-After'), qr/^[1-9]\d*\z/, "$kind: Retry-After";

    wait_for { $t->error_log =~ m{_$kind\b[^\n]*$reason{$kind}} } 2;
    like $t->error_log, qr{_$kind\b[^\n]*$reason{$kind}}, "$kind: the reason";
}

is $places > 0, 1, 'the format was found';

my $r = list('late');
is_error $r, 503, 'store_unavailable', 'no store yet';
like $r->header('Retry-After'), qr/^[1-9]\d*\z/, 'Retry-After';
is $t->request('HEAD', '/late/demo/exports', @auth)->status, 503, 'HEAD';
is_error list('deep'), 503, 'store_unavailable', 'not even a parent';
is $t->get('/other/')->body, "other\n", 'other locations are served';

is_error $t->get('/late/nothing', @auth), 404, 'not_found',
         'no route: 404 as ever';
is_error $t->request('POST', '/late/demo/exports', @auth), 405,
         'method_not_allowed', 'another method: 405 as ever';
like $t->get('/late/demo/exports')->status, qr/^(?:401|503)\z/,
     'no token: 401 or 503';


# what is looked at again and again is closed each time

my ($worker) = $t->workers;
my $open = $t->descriptors($worker);
my $reads = 0;
wait_for { list($_) for @bad; ++$reads > 100 } 3;
cmp_ok $t->descriptors($worker), '<=', $open + 2, 'no descriptor is left open';


# ---- and then they appear --------------------------------------------------

# the bad ones are replaced by a symlink to the good one

for my $kind (@bad) {
    symlink $good, $t->path("new_$kind") or die "symlink: $!";
    rename $t->path("new_$kind"), $t->path("link_$kind") or die "rename: $!";
}

for my $kind (@bad) {
    wait_for { $r = list($kind); $r->status == 200 };
    is_page $r, ['exp_1'], { total => 1 }, "$kind: recovered";
}

# made in place

$t->store('late', @line);
wait_for { $r = list('late'); $r->status != 503 };
is_error $r, 401, 'invalid_token', 'a new store: no token yet';
$t->token($t->path('late'), project => 'demo', token => $token);
is_page list('late'), ['exp_1'], { total => 1 }, 'a new store: with one';

mkdir $t->path($_) for 'not', 'not/there';
$t->store('not/there/yet', @line);
$t->token($t->path('not/there/yet'), project => 'demo', token => $token);
wait_for { $r = list('deep'); $r->status == 200 };
is_page $r, ['exp_1'], { total => 1 }, 'a new store in new directories';


# ---- a whole directory goes, and comes back --------------------------------

rename $t->path('late'), $t->path('gone') or die "rename: $!";
wait_for { $r = list('late'); $r->status == 503 };
is_error $r, 503, 'store_unavailable', 'renamed away';
is $t->get('/other/')->body, "other\n", 'other locations are served';
rename $t->path('gone'), $t->path('late') or die "rename: $!";
wait_for { $r = list('late'); $r->status == 200 };
is_page $r, ['exp_1'], { total => 1 }, 'renamed back';


# ---- nginx -t looks, and leaves no trace -----------------------------------

mkdir $t->path('fresh');
mkdir $t->path('half');
$t->write_file('half/data.mdb', $data);

my $conf = <<'EOC';
%%MAIN%%
events { }
http {
    %%HTTP%%
    server {
        listen 127.0.0.1:%%PORT%%;
        location /a/ { exports_api project; exports_store %%DIR%%/%%STORE%%; }
    }
}
EOC

for my $name (qw(fresh half good none bad_fifo bad_garbage)) {
    my @before = map { [glob $t->path($_)] } 'half/*', 'fresh/*', "$name*";
    my ($exit, $said) = $t->check_conf($conf =~ s/%%STORE%%/$name/r);

    is_deeply [$exit, map { [glob $t->path($_)] } 'half/*', 'fresh/*',
               "$name*"], [0, @before], "nginx -t: $name" or diag $said;
}

ok !-e $t->path('none'), 'nginx -t makes no directory';

$t->done;


# ---- the checksum of a short value, XXH3-64 of it and of its key -----------

sub checksum {
    my ($key, $value) = @_;
    return pack 'Q>', xxh3($value) ^ xxh3($key);
}

# XXH3-64 of 4 to 8 bytes, seed 0
sub xxh3 {
    my ($text) = @_;
    my $n = length $text;
    my $flip = 0x1cad21f72c81017c ^ 0xdb979083e96dd4de;
    my $h = $flip ^ add(unpack('L<', substr $text, -4),
                        unpack('L<', $text) << 32);

    $h ^= ($h << 49 | $h >> 15) ^ ($h << 24 | $h >> 40);
    $h = multiply($h, 0x9fb21c651e98df25);
    $h ^= add($h >> 35, $n);
    $h = multiply($h, 0x9fb21c651e98df25);

    return $h ^ $h >> 28;
}

# modulo 2**64
sub add { use integer; return unpack 'Q', pack 'q', $_[0] + $_[1] }
sub multiply { use integer; return unpack 'Q', pack 'q', $_[0] * $_[1] }
