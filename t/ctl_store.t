# exportsctl init, stat, verify, backup.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;
my @ctls = $t->ctls;

plan tests => @ctls * 117 + 9;

$t->conf(<<'EOC');
%%MAIN%%
events { }
http {
    %%HTTP%%
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ {
            exports_api project;
            exports_store %%DIR%%/backup0;
        }
    }
}
EOC

my $uuid = qr/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/;
my $lineage = '0190a6d2-7b1e-7c3f-9a55-2f6f0f6e1a01';
my $n = 0;

sub mode { sprintf '%04o', (stat $_[0])[2] & 07777 }

# of a manifest: LMDB's header of 8 bytes and the key of 24 precede the record,
# also where it was before its page was split
sub flip_node {
    my ($file, $id, $at, $bit) = @_;
    my ($place, $nodes) = (0, 0);

    open my $fh, '+<:raw', $file or die "$file: $!";
    my $data = do { local $/; <$fh> };

    while (($place = index $data, qq("id":"$id"), $place + 1) > 0) {
        my $byte = rindex($data, 'EXR1', $place) - 32 + $at;

        seek $fh, $byte, 0;
        print $fh chr(ord(substr $data, $byte, 1) ^ $bit);
        $nodes++;
    }

    close $fh or die "$file: $!";
    die "no record of $id" if $nodes == 0;
}

for my $ctl (@ctls) {
    $t->use_ctl($ctl);

    # ---- init

    my $store = $t->path("store$n");
    my ($exit, $out, $err) = $t->ctl('init', $store, '--json', { umask => 077 });
    is $exit, 0, 'init: exit' or diag $err;
    my $said = json($out);
    is $said->{path}, $store, 'init: where';
    like $said->{lineage}, qr/^$uuid\z/, 'init: a random lineage';
    is $said->{created}, JSON::PP::true, 'init: created';
    is mode($store), '2770', 'init: mode of the directory, whatever the umask';
    is mode("$store/data.mdb"), '0640', 'init: mode of data.mdb';
    is mode("$store/lock.mdb"), '0660', 'init: mode of lock.mdb';

    my $again = json($t->ctl_ok('init', $store, '--json'));
    is $again->{created}, JSON::PP::false, 'init: again';
    is $again->{lineage}, $said->{lineage}, 'init: again: the same';

    $out = $t->ctl_ok('init', $t->path("given$n"), '--lineage', uc $lineage);
    like $out, qr/created.*\b\Q$lineage\E\b/, 'init: --lineage';
    ($exit, undef, $err) = $t->ctl('init', $t->path("given$n"), '--lineage',
                                   '11111111-1111-4111-8111-111111111111');
    is $exit, 1, 'init: another --lineage: exit';
    like $err, qr/\Q$lineage/, 'init: another --lineage: says which it has';
    isnt json($t->ctl_ok('init', $t->path("third$n"), '--json'))->{lineage},
         $said->{lineage}, 'init: another store, another lineage';

    ($exit, undef, $err) = $t->ctl('init', $t->path("no/such/$n"));
    is $exit, 1, 'init: no parent';
    my $file = $t->write_file("file$n", 'x');
    ($exit, undef, $err) = $t->ctl('init', $file);
    is $exit, 1, 'init: a file';
    is $t->read_file($file), 'x', 'init: a file is left alone';

    # into a directory that is there

    mkdir $t->path("there$n");
    is json($t->ctl_ok('init', $t->path("there$n"), '--json'))->{created},
       JSON::PP::true, 'init: an empty directory';

    mkdir $t->path("foreign$n");
    $t->write_file("foreign$n/data.mdb", 'x' x 20000);
    ($exit, undef, $err) = $t->ctl('init', $t->path("foreign$n"));
    is $exit, 1, 'init: a foreign data.mdb: exit';
    like $err, qr/LMDB/, 'init: a foreign data.mdb: why';
    is $t->read_file("foreign$n/data.mdb"), 'x' x 20000,
       'init: a foreign data.mdb is left alone';

    SKIP: {
        my $group = $t->user && getgrgid((getpwnam $t->user)[3]);
        skip 'groups are given by root', 10 if !$group;
        my $path = $t->path("group$n");
        my $gid = getgrnam($group);
        (undef, undef, $err) = $t->ctl('init', $path, '--group', $group);
        is $err, '', 'init: --group';
        is((stat $path)[5], $gid, 'init: --group: the directory');
        is((stat "$path/$_")[5], $gid, "init: --group: $_")
            for 'data.mdb', 'lock.mdb';

        $t->ctl_ok('backup', $path, "$path.copy");
        is((stat "$path.copy")[5], $gid, 'backup: group of the directory');
        is((stat "$path.copy/data.mdb")[5], $gid, 'backup: of data.mdb');

        (undef, undef, $err) = $t->ctl('init', $path, '--group', $gid + 1);
        like $err, qr/--group is for new stores: nothing is changed$/,
             'init: another --group: said';
        is((stat $path)[5], $gid, 'init: another --group: ignored');

        mkdir $t->path("roots$n") or die "mkdir: $!";
        chown 0, 0, $t->path("roots$n") or die "chown: $!";
        (undef, undef, $err) = $t->ctl('init', $t->path("roots$n/store"));
        like $err, qr/must be that of nginx's workers.*--group$/,
             'init: the group of root: said';
        (undef, undef, $err) = $t->ctl('init', $t->path("roots$n/store"));
        is $err, '', 'init: the group of root: said once';
    }

    # ---- stat

    my $stat = json($t->ctl_ok('stat', $store, '--json'));
    is $stat->{lineage}, $said->{lineage}, 'stat: lineage';
    is $stat->{format}, 2, 'stat: format';
    is $stat->{path}, $store, 'stat: path';
    is $stat->{entries}{manifests}, 0, 'stat: empty';
    cmp_ok $stat->{readers}, '<=', $stat->{readers_max}, 'stat: readers';
    is $stat->{readers_max}, 1024, 'stat: reader slots';
    is $stat->{map_size}, 64 << 30, 'stat: map_size';

    my $txn = $stat->{txnid};
    $t->load($store, map { project_line(project => 'demo', id => "exp_$_",
        status => $_ % 2 ? 'ready' : 'not_found') } 1 .. 500);
    $stat = json($t->ctl_ok('stat', $store, '--json'));
    is $stat->{entries}{manifests}, 500, 'stat: manifests';
    is $stat->{entries}{ids}, 500, 'stat: ids';
    is $stat->{entries}{facets}, 1000, 'stat: facets';
    is $stat->{txnid}, $txn + 1, 'stat: one commit';
    cmp_ok $stat->{pages_used} * $stat->{page_size}, '<=',
           -s "$store/data.mdb", 'stat: pages';
    my $text = $t->ctl_ok('stat', $store);
    like $text, qr/^manifests\s+500 entries$/m, 'stat: for people';
    like $text, qr/^readers\s+\d+ of 1024/m, 'stat: readers, for people';

    # ---- a small map: full, and room again

    my $small = $t->path("small$n");
    $t->ctl_ok('init', $small, '--map-size', '256k');
    my @many = map { project_line(project => 'demo', id => "exp_$_",
                                  table => 'x' x 900) } 1 .. 1000;
    ($exit, $out, $err) = $t->ctl('import', $small, '-', '--map-size', '256k',
        '--batch', 50, { stdin => join "\n", @many, '' });
    is $exit, 1, 'a full map: exit';
    like $err, qr/map is full.*--map-size/, 'a full map: says what to do';
    my $kept = () = $t->ctl_ok('export', $small) =~ /\n/g;
    is $kept % 50, 0, "a full map: whole batches ($kept)";
    like $err, qr/\b$kept\b.*committed/, 'a full map: says which';
    ($exit, undef, $err) = $t->ctl('stat', $small, '--map-size', '256k');
    is $exit, 0, 'a full map: stat: exit';
    like $err, qr/^exportsctl: stat: \d+\.\d % of the map.*--map-size$/,
         'a full map: stat: says what to do';
    (undef, undef, $err) = $t->ctl('stat', $small);
    is $err, '', 'a larger map: stat says nothing';
    ($exit, undef, $err) = $t->ctl('delete', $small, '--project', 'demo',
                                   'exp_1');
    is $exit, 0, 'a larger map: deletes work' or diag $err;
    $t->load($small, @many);
    $kept = () = $t->ctl_ok('export', $small) =~ /\n/g;
    is $kept, 1000, 'a larger map: goes on';
    like $t->ctl_ok('verify', $small), qr/\b0 faults/, 'a larger map: sound';

    # ---- verify

    $t->token($store, project => 'demo', token => 'pat_x');
    my $result = json($t->ctl_ok('verify', $store, '--json'));
    is_deeply $result, { faults => [], complete => JSON::PP::true, scopes => 1,
        tokens => 1, manifests => 500, ids => 500, entries => 1000,
        found => 0, repaired => 0 }, 'verify: --json';
    like $t->ctl_ok('verify', $store), qr/500 manifests.*\b0 faults/,
         'verify: for people';
    $result = json($t->ctl_ok('verify', $store, '--repair', '--json'));
    is $result->{repaired}, 0, 'verify --repair: nothing to mend';

    # a record is damaged: a byte of the first one in the file

    my $broken = $t->path("broken$n");
    my @three = map { project_line(project => 'demo', id => "exp_$_",
                                   table => "findme$_") } 1 .. 3;
    $t->store("broken$n", @three);
    my $before = $t->ctl_ok('export', $broken);
    cmp_ok $t->damage($broken, 'findme2', 'findmeX'), '>', 0,
           'damage is done';

    ($exit, $out, $err) = $t->ctl('verify', $broken);
    is $exit, 1, 'verify: a damaged record: exit';
    like $out, qr/\b[1-9]\d* faults?/, 'verify: a damaged record: counted';
    ($exit, $out, $err) = $t->ctl('verify', $broken, '--json');
    is $exit, 1, 'verify: --json: exit';
    cmp_ok scalar @{ json($out)->{faults} }, '>', 0, 'verify: --json: faults';
    ($exit) = $t->ctl('get', $broken, '--project', 'demo', 'exp_2');
    is $exit, 1, 'get: a damaged record';
    ($exit, undef, $err) = $t->ctl('list', $broken, '--project', 'demo');
    like $err, qr/: a record \(key [0-9a-f]{48}\) is damaged, or not of the /,
         'list: a damaged record';
    ($exit, $out) = $t->ctl('export', $broken);
    is $exit, 1, 'export: a damaged record: exit';
    is scalar(() = $out =~ /\n/g), 2, 'export: the others are saved';
    ($exit) = $t->ctl('backup', $broken, $t->path("brokencopy$n"));
    is $exit, 1, 'backup: of a damaged store';
    ok !-e $t->path("brokencopy$n"), 'backup: leaves nothing then';

    ($exit, $out, $err) = $t->ctl('verify', $broken, '--repair');
    is $exit, 0, 'verify --repair: exit' or diag $out, $err;
    like $t->ctl_ok('verify', $broken), qr/\b0 faults/, 'verify --repair: sound';
    is scalar(() = $t->ctl_ok('export', $broken) =~ /\n/g), 2,
       'verify --repair: what was readable is kept';
    $t->load($broken, $three[1]);
    is $t->ctl_ok('export', $broken), $before, 'and what was lost can come back';
    like $t->ctl_ok('verify', $broken), qr/\b0 faults/, 'and is sound';

    # the key of a list, before its one entry, gets another facet

    my $keyless = $t->store("keyless$n",
        project_line(project => 'demo', id => 'exp_1',
                     created_at => '2026-06-02T01:23:45Z'));
    my $entry = pack 'Q>', 1780363425000000;
    cmp_ok $t->damage($keyless, pack('Q>C', 1, 0) . $entry,
                      pack('Q>C', 1, 8) . $entry), '>', 0, 'a list is lost';
    ($exit, undef, $err) = $t->ctl('list', $keyless, '--project', 'demo');
    is $exit, 1, 'list: a damaged list: exit';
    like $err, qr/^exportsctl: list: the list is damaged: run /,
       'list: a damaged list: no record is named';

    # the header of a node is damaged: its length, and what kind of value it has

    my @hundred = map { project_line(project => 'demo', id => "exp_n$_",
                                     table => "node$_") } 100 .. 199;

    for (['a length', 0, 0x10], ['a kind of value', 4, 0x02]) {
        my ($what, $at, $bit) = @$_;
        my $name = $at . "nodes$n";
        my $nodes = $t->path($name);
        $t->store($name, @hundred);

        my $lines = $t->ctl_ok('export', $nodes);
        flip_node("$nodes/data.mdb", 'exp_n150', $at, $bit);

        my $bytes = $t->read_file("$name/data.mdb");
        ($exit, $out, $err) = $t->ctl('verify', $nodes);
        is $exit, 1, "verify: $what: exit";
        like $out, qr/^manifests: page \d+ has /m, "verify: $what: the page";

        ($exit, $out, $err) = $t->ctl('verify', $nodes, '--repair');
        is $exit, 1, "verify --repair: $what: exit";
        like $err, qr/nothing is repaired/, "verify --repair: $what: says so";

        ($exit, $out, $err) = $t->ctl('import', $nodes, '-',
                                      { stdin => "$hundred[50]\n" });
        is $exit, 1, "import: $what: exit";
        like $err, qr/"\Q$nodes\E" is damaged/, "import: $what: the store";
        ok $t->read_file("$name/data.mdb") eq $bytes, "$what: nothing changes";

        # the second can be read, but not be written over

        ($exit, $out) = $t->ctl('export', $nodes);
        $lines =~ s/^.*"exp_n150".*\n//m if $at == 0;
        is $exit, $at == 0 ? 1 : 0, "export: $what: exit";
        ok $out eq $lines, "export: $what: all others";
    }

    # a name that a terminal would obey, and is no UTF-8

    my $odd = $t->path("odd$n\e[31m\n\xc2\x9bx\xff\xc3\xa9");
    my $shown = "odd$n\\x1b[31m\\x0a\\xc2\\x9bx\\xff\xc3\xa9";
    my $odd_json = "odd$n\e[31m\n\x{9b}x\x{fffd}\x{e9}";

    like $t->ctl_ok('init', $odd), qr{^created "\S+/\Q$shown\E", of .*\n\z},
         'a path with control characters: init';
    like $t->ctl_ok('init', $odd), qr{^"\S+/\Q$shown\E" is a store already},
         'a path with control characters: init again';
    like $t->ctl_ok('stat', $odd), qr{^path +\S+/\Q$shown\E\nlineage },
         'a path with control characters: stat';
    like $t->ctl_ok('backup', $odd, "$odd.copy"),
         qr{^copied to "\S+/\Q$shown\E.copy": .*\n\z},
         'a path with control characters: backup';

    for (['init', $odd], ['stat', $odd], ['backup', $odd, "$odd.copy2"]) {
        like json($t->ctl_ok(@$_, '--json'))->{path}, qr{/\Q$odd_json\E},
             "a path with control characters: $_->[0] --json";
    }

    # the first and the last of each length, and what is no UTF-8

    my @shown = ("\xc2\xa0", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                 "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf");
    my @escaped = ("\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                   "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                   "\xf5\x80\x80\x80", "\xc2", "\xe2\x82", "\xf0\x9f\x92");
    my $bytes = join '.', 'utf', $n, @shown, @escaped;
    $shown = join '.', 'utf', $n, @shown,
                  map { s/(.)/sprintf '\\x%02x', ord $1/gers } @escaped;
    like $t->ctl_ok('init', $t->path($bytes)), qr{/\Q$shown\E", of },
         'a path with all kinds of characters';

    # ---- backup

    my $copy = $t->path("backup$n");
    my $backup = json($t->ctl_ok('backup', $store, $copy, '--json',
                                 { umask => 077 }));
    is_deeply $backup, { path => $copy, bytes => -s "$copy/data.mdb",
                         verified => JSON::PP::true }, 'backup: --json';
    is mode($copy), '2770', 'backup: mode of the directory';
    is mode("$copy/data.mdb"), '0640', 'backup: mode of data.mdb';
    is((stat "$copy/data.mdb")[5], (stat "$store/data.mdb")[5], 'backup: group');
    is $t->ctl_ok('export', $copy, '--tokens'),
       $t->ctl_ok('export', $store, '--tokens'), 'backup: the same manifests';
    like $t->ctl_ok('verify', $copy), qr/\b0 faults/, 'backup: sound';
    is json($t->ctl_ok('stat', $copy, '--json'))->{lineage}, $said->{lineage},
       'backup: the same lineage';
    $t->load($copy, project_line(project => 'demo', id => 'exp_new'));
    is json($t->ctl_ok('stat', $copy, '--json'))->{entries}{manifests}, 501,
       'backup: can be written to';
    ($exit, undef, $err) = $t->ctl('backup', $store, $copy);
    is $exit, 1, 'backup: over another: exit';
    like $err, qr/exists/, 'backup: over another: why';
    is json($t->ctl_ok('backup', $store, $t->path("fast$n"), '--no-verify',
                       '--json'))->{verified}, JSON::PP::false,
       'backup: --no-verify';
    my $here = { before => sub { chdir $t->dir or die "chdir: $!" } };
    is json($t->ctl_ok('backup', $store, "here$n//", '--json', $here))->{path},
       "here$n", 'backup: a name without a directory';
    ok -f $t->path("here$n/data.mdb"), 'backup: is here';
    ($exit, undef, $err) = $t->ctl('backup', $store, '');
    like $err, qr/^exportsctl: backup: "": /, 'backup: no name';
    is scalar(my @rest = glob $t->path('*.tmp.*')), 0, 'backup: leaves no files';

    $n++;
}

# Behind a value that became shorter there are remains of it.  They may begin
# with the number of their page: where the value ended with the first byte of
# page 255, of ff and zeroes.

sub long_line {
    my ($n, $escaped, $plain) = @_;
    return project_line(project => 'demo', id => sprintf('exp_%04d', $n),
                        storage_key => 'k' x 900, download_name => 'd' x 900,
                        created_at => "2026-06-01T00:00:00.00${n}Z",
                        status_reason => "\x01" x $escaped . 'r' x $plain)
           . "\n";
}

sub data_of { $t->read_file("$_[0]/data.mdb") }

my $remains = $t->store('remains_1');
$t->ctl_ok('import', $remains, $t->write_file('long', long_line(1001, 1, 0)));

my ($length) = data_of('remains_1') =~ /EXR1(.{4}).*"exp_1001"/s;
my $missing = 2 * 4096 - 16 + 1 - unpack('N', $length) + 6;
my $escaped = int $missing / 6 - 2;

my @both = map { long_line($_, $escaped, $missing - 6 * $escaped),
                 long_line($_, int $escaped / 2, 0) } 1001 .. 1200;

$remains = $t->store('remains_200');
$t->ctl_ok('import', $remains, $t->write_file('both', join '', @both));

is unpack('Q<', substr data_of('remains_200'), 255 * 4096, 8), 255,
   'remains that begin with their number';
like $t->ctl_ok('verify', $remains), qr/\b0 faults/, 'are no fault';
$t->ctl_ok('import', $remains, $t->write_file('again', join '', @both));
$t->ctl_ok('delete', $remains, '--project', 'demo', map { "exp_$_" }
           1001 .. 1200);
is json($t->ctl_ok('stat', $remains, '--json'))->{entries}{manifests}, 0,
   'nor in the way of a writer';
like $t->ctl_ok('verify', $remains), qr/\b0 faults/, 'and none after';


# a backup is served

$t->token($t->path('backup0'), project => 'demo', token => 'pat_y');
$t->run;
for ('pat_x', 'pat_y') {
    my $r = $t->get('/projects/demo/exports', Authorization => "Bearer $_");
    is $r->status, 200, "a backup is served: $_";
    is $r->json->{data}{total}, 501, 'all of it';
}

$t->done;
