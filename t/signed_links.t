# Signed links: what is in them, how long they are good for, what is refused,
# and the file with the keys.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;

use Exports::Test;
use Exports::User;

my $t = Exports::Test->new;

$t->conf(<<'EOC' =~ s/<UE>/\xc3\xbc/r);
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store;
    exports_root %%DIR%%/files;
    exports_link_key_file %%DIR%%/key;
    keepalive_requests 100000;
    lingering_timeout 100ms;

    server {
        listen 127.0.0.1:%%PORT%%;
        location /e { exports_api user; }
        location /other { exports_api user; }
        location /60s { exports_api user; exports_link_ttl 60s; }
        location /61s { exports_api user; exports_link_ttl 61s; }
        location /90m { exports_api user; exports_link_ttl 90m; }
        location /365d { exports_api user; exports_link_ttl 365d; }
        location "/a b/<UE>" { exports_api user; }
        location /based { exports_api user;
                          exports_base_url https://x.example/base/; }
        location /projects/ { exports_api project; }
    }

    server {
        listen 127.0.0.1:%%PORT_old%%;
        exports_link_key_file old;
        location /e { exports_api user; }
    }

    server {
        listen 127.0.0.1:%%PORT_new%%;
        exports_link_key_file new;
        location /e { exports_api user; }
    }

    server {
        listen 127.0.0.1:%%PORT_bytes%%;
        exports_link_key_file bytes;
        location /e { exports_api user; }
    }
}
EOC

my ($old, $new) = ('o' x 32, 'n' x 40);
my @bytes = ("\r" . pack('C*', 0 .. 9, 11 .. 255) . ' ', 'x' x 32, 'y' x 20_000,
             ' ' x 32);

key_file($t, 'key');
key_file($t, 'old', $old);
key_file($t, 'new', $new, $old);
key_file($t, 'bytes', @bytes);
$t->write_file('bytes', join "\n", @bytes);     # without a newline at the end


# ---- exports and their files -----------------------------------------------

mkdir $t->path('files');
mkdir $t->path('files/in');
mkdir $t->path('elsewhere');

my %files = (one => "the first\n" x 100, 'in/two.csv' => 'two', '../secret' =>
             'not below the root', '../elsewhere/x' => 'neither');

$t->write_file("files/$_", $files{$_}) for keys %files;
symlink '../secret', $t->path('files/out') or die;
symlink $t->path('elsewhere'), $t->path('files/dir') or die;
symlink 'one', $t->path('files/within') or die;

my %manifests = (
    one => {}, two => { storage_key => 'in/two.csv' },
    One => { storage_key => 'none' }, gone => {},
    failed => { status => 'failed', storage_key => 'one' },
    out => {}, through => { storage_key => 'dir/x' }, within => {},
    root => { storage_key => 'in' }, of => { user => 'ann',
                                             storage_key => 'one' },
    (map { ("n-$_" => { storage_key => 'one' }) } 1 .. 60),
);

my $store = $t->store('store', map { user_line(uuid => $_,
    filename => "r\x{e9}sum\x{e9}.csv", content_type => 'text/csv',
    %{ $manifests{$_} }) } sort keys %manifests);
my @auth = (Authorization => 'Bearer ' . $t->token($store, user => 42));

$t->run;

my $c = $t->connect;

# the path and arguments of a link made here
sub link_to {
    my ($uuid, $expires, $key, $prefix) = @_;
    my $path = ($prefix // '/e') . "/$uuid/download";
    return "$path?expires=$expires&signature="
           . signature($path, $expires, $key);
}

my $later = time + 1000;

sub is_file {
    my ($r, $content, $name) = @_;
    my @faults;

    push @faults, 'status: ' . $r->status if $r->status != 200;
    push @faults, 'content' if $r->body ne $content;
    push @faults, $_ for grep { ($r->header($_) // '') eq '' }
        qw(Content-Disposition ETag Last-Modified X-Request-Id);
    push @faults, 'Content-Type' if ($r->header('Content-Type') // '')
                                    ne 'text/csv';
    push @faults, 'Cache-Control' if ($r->header('Cache-Control') // '')
                                     ne 'private, no-cache';
    push @faults, 'X-Content-Type-Options'
        if ($r->header('X-Content-Type-Options') // '') ne 'nosniff';

    return ok !@faults, $name
        || diag join "\n", @faults, substr $r->raw, 0, 1000;
}

sub is_forged { is_message $_[0], 403, 'Invalid signature.', $_[1] }


# ---- what links say --------------------------------------------------------

# every link of every page; the prefix in it; how long it is good for
for (['/e', '/e', 3600], ['/60s', '/60s', 60], ['/61s', '/61s', 61],
     ['/90m', '/90m', 5400], ['/365d', '/365d', 365 * 86400],
     ['/a%20b/%C3%BC', '/a%20b/%C3%BC', 3600], ['/based', '/based', 3600])
{
    my ($uri, $prefix, $ttl) = @$_;
    my $quarter = int($ttl / 4);
    my $base = $uri eq '/based' ? 'https://x.example/base' : 'http://localhost';
    my ($n, @faults) = 0;

    my $before = time;
    my @links = map { links_of($c->get("$uri?per_page=30&page=$_", @auth)) }
                1 .. 3;
    my $after = time;

    for (@links) {
        my ($path, $expires, $signature) =
            m{^\Q$base\E(\Q$prefix\E/[^/]+/download)\?$Exports::User::SIGNED\z}
            or push(@faults, "not a link: $_"), next;

        push @faults, "signature: $_"
            if $signature ne signature($path, $expires);
        push @faults, "$expires: not a multiple of $quarter"
            if $expires % $quarter;
        push @faults, "$expires: too early, at $before"
            if $expires < $before + $ttl;
        push @faults, "$expires: too late, at $after"
            if $expires >= $after + $ttl + $quarter;
    }

    push @faults, scalar(@links) . ' links' if @links != 68;
    ok !@faults, "links: $uri" or diag join "\n", @faults[0 .. 4];
}

my ($one) = grep { m{/one/} } map { s{^http://localhost}{}r }
            links_of($c->get('/e?per_page=100', @auth));


# ---- what they lead to -----------------------------------------------------

my $r = $t->get($one);
is_file $r, $files{one}, 'a link';
like $r->header('Content-Disposition'),
     qr/^attachment; filename=.*filename\*=UTF-8''r%C3%A9sum%C3%A9\.csv\z/i,
     'Content-Disposition';
is $r->header('X-RateLimit-Limit'), undef, 'it is not counted';
is_file $c->get($one, Authorization => 'Bearer nobody'), $files{one},
        'a token does not matter';
$c->send("GET $one HTTP/1.1\r\nHost: elsewhere\r\n\r\n");
is_file $c->response, $files{one}, 'nor the host';
is_file $t->get($one =~ s{/one/}{/%6fne/}r), $files{one},
        'nor how the path is encoded';
is_file $t->get($one =~ s{/e/}{/x/.././e//}r), $files{one}, 'nor dots in it';

my $head = $c->request('HEAD', $one);
is $head->status, 200, 'HEAD';
is $head->header('Content-Length'), length $files{one}, 'HEAD: length';

$r = $c->get($one, Range => 'bytes=4-8');
is $r->status, 206, 'a range';
is $r->body, 'first', 'its bytes';
is $c->get($one, 'If-None-Match' => $head->header('ETag'))->status, 304,
   'a condition';

is_file $c->get(link_to('one', $later)), $files{one}, 'a link made here';
is_file $c->get(link_to('two', $later)), 'two', 'a file in a directory';
is_file $c->get(link_to('of', $later)), $files{one}, 'of any user';
is_file $c->get(link_to('within', $later)), $files{one},
        'a symlink below the root';
is_file $c->get(link_to('one', 9999999999)), $files{one}, 'the far future';
is_file $c->get(link_to('one', 9223372036854775807)), $files{one},
        'the farthest';
is_file $c->get(link_to('one', $later, undef, '/a%20b/%C3%BC')), $files{one},
        'a prefix that is encoded';

($r) = map { m{^https://x\.example/base(.*)} }
       links_of($c->get('/based?per_page=100', @auth));
is $c->get($r)->status, 200, 'the base URL is not signed';

is_message $c->get(link_to('gone', $later)), 404, qr/missing/, 'no file';
is_message $c->get(link_to('root', $later)), 404, qr/missing/, 'a directory';
is_message $c->get(link_to('One', $later)), 404, qr/missing/,
           'uuids differ by case';
is_message $c->get(link_to('failed', $later)), 404, qr/missing/, 'not ready';
is_message $c->get(link_to('unknown', $later)), 404, qr/no such export/,
           'no such export';
is_message $c->get(link_to('out', $later)), 404, qr/missing/,
           'a symlink out of the root';
is_message $c->get(link_to('through', $later)), 404, qr/missing/,
           'a symlink in the path out of the root';
is_message $c->request('POST', $one), 405, qr/./, 'POST';
is_message $c->request('DELETE', '/e/unknown/download'), 405, qr/./,
           'the method before the signature';
is_forged $c->get(link_to('unknown', $later) =~ s/.\z//r),
          'the signature before the export';

$t->load($store, user_line(uuid => 'two', status => 'cancelled'));
is_message $c->get(link_to('two', $later)), 404, qr/missing/,
           'a link whose export is not ready any more';


# ---- altered ones ----------------------------------------------------------

my $until = $later + 7;
my $path = '/e/one/download';
my $s = signature($path, $until);
my $good = "expires=$until&signature=$s";

is_file $c->get("$path?$good"), $files{one}, 'the one that is altered';

my %altered = (
    'no arguments' => '', 'an empty query' => '?',
    'no signature' => "?expires=$until", 'no expires' => "?signature=$s",
    'an empty signature' => "?expires=$until&signature=",
    'an empty expires' => "?expires=&signature=$s",
    'signature without =' => "?expires=$until&signature",
    'the other order' => "?signature=$s&expires=$until",
    'an argument before' => "?x=1&$good",
    'an argument behind' => "?$good&x=1",
    'an argument between' => "?expires=$until&x=1&signature=$s",
    'an ampersand before' => "?&$good", 'an ampersand behind' => "?$good&",
    'two ampersands' => "?expires=$until&&signature=$s",
    'a semicolon' => "?expires=$until;signature=$s",
    'expires twice' => "?expires=$until&$good",
    'a greater expires behind' => "?$good&expires=9999999999",
    'signature twice' => "?$good&signature=$s",
    'everything twice' => "?$good&$good",
    'a question mark' => "??$good", 'a question mark behind' => "?$good?",
    'a zero behind' => "?${good}%00", 'a newline behind' => "?${good}%0A",
    'a space behind' => "?${good}%20", 'a plus behind' => "?$good+",
    'upper case' => "?expires=$until&signature=" . uc $s,
    'an upper case name' => "?EXPIRES=$until&signature=$s",
    'an encoded name' => "?%65xpires=$until&signature=$s",
    'an encoded name, the second' => "?expires=$until&%73ignature=$s",
    'an encoded digit' => "?expires=$until&signature="
                          . percent_first($s),
    'an encoded digit of the time' => '?expires=' . percent_first($until)
                                      . "&signature=$s",
    'a digit less' => '?' . substr($good, 0, -1),
    'a digit less, at the front' => "?expires=$until&signature="
                                    . substr($s, 1),
    'a digit more' => "?${good}0",
    'half of it' => "?expires=$until&signature=" . substr($s, 0, 32),
    'no hexadecimal' => "?expires=$until&signature=" . 'g' x 64,
    'zeros' => "?expires=$until&signature=" . '0' x 64,
    'with 0x' => "?expires=$until&signature=0x" . substr($s, 2),
    'the binary' => "?expires=$until&signature=" . percent(pack 'H*', $s),
    'a later time' => '?expires=' . ($until + 1) . "&signature=$s",
    'an earlier time' => '?expires=' . ($until - 1) . "&signature=$s",
    'a zero before the time' => "?expires=0$until&signature=$s",
    'a sign' => "?expires=+$until&signature=$s",
    'a negative time' => "?expires=-$until&signature=$s",
    'a space before the time' => "?expires=%20$until&signature=$s",
    'a fraction' => "?expires=$until.0&signature=$s",
    'another time entirely' => "?expires=x&signature=$s",
    'the signature of the list' => "?expires=$until&signature="
                                   . signature('/e', $until),
    'of a full URL' => "?expires=$until&signature="
        . signature("http://localhost$path", $until),
    'of the path alone' => "?expires=$until&signature="
        . Digest::SHA::hmac_sha256_hex($path, $Exports::User::KEY),
    'no key' => "?expires=$until&signature=" . signature($path, $until, ''),
    'the key with its newline' => "?expires=$until&signature="
        . signature($path, $until, "$Exports::User::KEY\n"),
    'the key of another server' => "?expires=$until&signature="
        . signature($path, $until, $old),
    'only SHA-256' => "?expires=$until&signature="
        . Digest::SHA::sha256_hex("$Exports::User::KEY$path?expires=$until"),
);

sub percent_first { sprintf '%%%02x%s', ord $_[0], substr $_[0], 1 }

is_forged $c->get($path . $altered{$_}), "altered: $_" for sort keys %altered;

for my $uri ("/other/one/download?$good", "/e/two/download?$good",
             "/e/One/download?$good", "/e/one-/download?$good",
             "/based/one/download?$good", "/e/on/download?$good")
{
    is_forged $c->get($uri), 'altered: ' . $uri =~ s/\?.*//r;
}

is_forged $c->get($path . '?expires=' . '9' x $_ . '&signature='
                  . signature($path, '9' x $_)),
          "$_ digits of time" for 19, 20, 100, 1000;
is_forged $c->get(link_to('one', '9223372036854775808')),
          'a time of more than 63 bits';
is_file $c->get(link_to('one', '9223372036854775807')), $files{one},
        'the last time';
ok wait_for {
    my $now = time;
    my $r = $c->get(link_to('one', $now));
    $r->status == 200 && $now == time;
}, 'it is good for the second in which it expires';
is $c->get("/projects/p/export/download/exp_1?$good")->status, 401,
   'it is not for the other API';

my @wrong;

for my $i (0 .. 63) {
    my $bad = $s;
    substr $bad, $i, 1, substr($s, $i, 1) eq 'a' ? 'b' : 'a';
    my $r = $c->get("$path?expires=$until&signature=$bad");
    push @wrong, $i if $r->status != 403;
}

is "@wrong", '', 'every digit counts';


# ---- expired ones ----------------------------------------------------------

is_forged $c->get(link_to('one', $_)), "expired: $_"
    for 0, 1, 1_000_000_000, time - 3600, time - 1;
is_forged $c->get(link_to('one', time - 1, 'x' x 32)), 'expired and forged';
is_file $c->get(link_to('one', time + 30)), $files{one}, 'not yet';


# ---- keys: the first signs, all verify -------------------------------------

sub at { $t->get($_[1], @auth, port => $_[0]) }

sub signed_by {
    my ($port, $key, $name) = @_;
    my @links = links_of(at($port, '/e?per_page=100'));
    my @bad = grep { my ($p, $e, $s) = m{localhost(.*)\?$Exports::User::SIGNED};
                     $s ne signature($p, $e, $key) } @links;

    ok @links > 50 && !@bad, $name or diag "@bad[0 .. 2]";
}

signed_by('old', $old, 'one key');
signed_by('new', $new, 'two keys: the first signs');
is_file at('new', link_to('one', $later, $new)), $files{one},
        'two keys: the first verifies';
is_file at('new', link_to('one', $later, $old)), $files{one},
        'two keys: the second too';
is_forged at('new', link_to('one', $later)), 'two keys: no others';
is_forged at('old', link_to('one', $later, $new)), 'one key: no others';
is_forged at('new', link_to('one', $later, "$new\n$old")),
          'two keys are not one';
is_forged at('new', link_to('one', time - 1, $old)),
          'two keys: expired all the same';

signed_by('bytes', $bytes[0], 'any bytes');
is_file at('bytes', link_to('one', $later, $bytes[$_])), $files{one},
        "key $_ of the bytes of its line" for 0 .. $#bytes;


# ---- rotation --------------------------------------------------------------

my $third = 't' x 32;

key_file($t, 'old', $third, $old);
signed_by('old', $old, 'a file that changes is not read');

my $running = $t->connect('old');
is_forged $running->get(link_to('one', $later, $third)),
          'nor its new key known';

$t->reload;
signed_by('old', $third, 'reload: the new key signs');
is_file at('old', link_to('one', $later, $old)), $files{one},
        'reload: old links are good';
is_file at('old', link_to('one', $later, $third)), $files{one},
        'reload: and new ones';
is_file at('', $one), $files{one}, 'reload: others are as they were';

key_file($t, 'old', $third);
$t->reload;
is_forged at('old', link_to('one', $later, $old)),
          'reload: a key that is gone is no key';
is_file at('old', link_to('one', $later, $third)), $files{one},
        'reload: the other is';

# a file that is refused: nginx goes on with what it has

key_file($t, 'old', 'short');
kill 'HUP', $t->{pid};
ok wait_for { $t->error_log =~ /key on line 1 .* shorter than 32 bytes/ },
   'reload of a bad file: refused';
is_file at('old', link_to('one', $later, $third)), $files{one},
        'reload of a bad file: the old keys stay';
$t->allow_log(qr/\[emerg\].*key on line 1 of/);
key_file($t, 'old', $third);


# ---- what nginx -t refuses -------------------------------------------------

my $secret = 'S3CRET' x 8;

sub conf_of {
    my ($directives, $location) = @_;
    $location //= 'exports_api user;';

    return "%%MAIN%%\nevents { }\nhttp {\n%%HTTP%%\n"
           . "exports_store %%DIR%%/store;\n$directives\n"
           . "server { listen 127.0.0.1:%%PORT%%;\n"
           . "location /e { $location }\n} }\n";
}

sub refused {
    my ($conf, $what, $name) = @_;
    my ($exit, $out) = $t->check_conf($conf);

    ok $exit != 0 && $out =~ $what && $out =~ /\[emerg\]/
       && $out !~ /S3CRET/, "refused: $name" or diag "exit $exit\n$out";
}

sub accepted {
    my ($conf, $name) = @_;
    my ($exit, $out) = $t->check_conf($conf);

    ok $exit == 0, "accepted: $name" or diag "exit $exit\n$out";
}

my $with = 'exports_link_key_file %%DIR%%/keys;';

for my $mode (0644, 0604, 0602, 0601, 0666) {
    chmod $mode, key_file($t, 'keys', $secret);
    refused(conf_of($with), qr/keys" must not be accessible by others in /,
            sprintf 'mode %04o', $mode);
}

for my $mode (0600, 0400, 0640, 0660) {
    unlink $t->path('keys');
    chmod $mode, key_file($t, 'keys', $secret);
    accepted(conf_of($with), sprintf 'mode %04o', $mode);
}

my %contents = (
    'an empty file' => ['', qr/keys" is empty/],
    'a line of 31 bytes' => ['x' x 31 . "\n", qr/line 1 .*keys.* 32 bytes/],
    '31 bytes without a newline' => ['x' x 31, qr/line 1 .*keys/],
    'a short second line' => ["$secret\nS3CRET\n", qr/line 2 .*keys/],
    'a short third line' => ["$secret\n$secret\nx", qr/line 3 .*keys/],
    'an empty line' => ["\n", qr/line 1 .*keys/],
    'an empty line first' => ["\n$secret\n", qr/line 1 .*keys/],
    'an empty line between' => ["$secret\n\n$secret\n", qr/line 2 .*keys/],
    'an empty line at the end' => ["$secret\n\n", qr/line 2 .*keys/],
    '64 KB and more' => ["$secret\n" x 2000, qr/keys" is larger/],
    '64 KB and a byte' => ['x' x 65537, qr/keys" is larger/],
);

for (sort keys %contents) {
    my ($content, $what) = @{ $contents{$_} };
    chmod 0600, $t->write_file('keys', $content);
    refused(conf_of($with), $what, $_);
}

chmod 0600, $t->write_file('keys', 'x' x 32);
accepted(conf_of($with), '32 bytes without a newline');
chmod 0600, $t->write_file('keys', join "\n", ($secret) x 1000, '');
accepted(conf_of($with), 'a thousand keys');
chmod 0600, $t->write_file('keys', 'x' x 65536);
accepted(conf_of($with), 'a key of 64 KB');

unlink $t->path('keys');
refused(conf_of($with), qr/keys" failed.*No such file/,
        'a file that is missing');

mkdir $t->path('keys'), 0700;
refused(conf_of($with), qr/keys" is not a regular file/, 'a directory');
rmdir $t->path('keys');

POSIX::mkfifo($t->path('keys'), 0600) or die;
refused(conf_of($with), qr/keys" is not a regular file/, 'a FIFO');
unlink $t->path('keys');

symlink '/dev/zero', $t->path('keys');
refused(conf_of($with), qr/keys" is not a regular file/, 'a device');
unlink $t->path('keys');

symlink $t->path('key'), $t->path('keys');
accepted(conf_of($with), 'a symlink to a key file');

refused(conf_of(''), qr{"/e" has no "exports_link_key_file"},
        'the user API without keys');
accepted(conf_of('', 'exports_api project;'),
         'the project API without keys');
accepted(conf_of('', "exports_api user; $with"), 'keys in the location');
accepted(conf_of($with, 'exports_api user; exports_link_ttl 60s;'),
         'exports_link_ttl 60s');
accepted(conf_of("$with exports_link_ttl 365d;"), 'exports_link_ttl 365d');
refused(conf_of("$with exports_link_ttl $_;"), qr/exports_link_ttl|value/,
        "exports_link_ttl $_")
    for qw(59s 0 1 -1 59999ms x 366d 99999999999999d);
refused(conf_of("$with $with"), qr/duplicate/, 'two key files');
refused(conf_of("$with exports_link_ttl 60s; exports_link_ttl 60s;"),
        qr/duplicate/, 'two exports_link_ttl');
refused(conf_of('exports_link_key_file;'), qr/number of arguments/,
        'no name of a file');
refused(conf_of("$with exports_base_url \"\";"), qr/exports_base_url/,
        'an empty exports_base_url');
refused(conf_of("$with exports_base_url http://a; exports_base_url http://b;"),
        qr/duplicate/, 'two exports_base_url');


# ---- what the log says -----------------------------------------------------

my $log = $t->error_log;

is_deeply [grep { /signature=/ && !m{GET /projects/} } split /\n/, $log], [],
          'no signature is in the log';
ok $log !~ /\Q$_\E/, 'nor a key' for $Exports::User::KEY, $old, $new;
ok $log =~ m{refused: 403 .*"GET /e/one/download"},
     'but the path of what was refused';

$c->close;
$t->done;
done_testing;
