# The store, byte for byte: a decoder written from lmdb-schema/README.md alone
# reads a dump of a store, and must find what exportsctl prints; and an encoder
# makes of that the records again.  The README's example and its programs are
# held against the code, too.
#
# XXH3 is not computed here: that a checksum lies where the README says, and
# takes in what it says, is seen by what changes with what.

use warnings;
use strict;
no warnings 'portable';

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256 sha256_hex);
use Encode ();
use Test::More;
use Time::HiRes 'time';

use Exports::Test;

my ($mdb_dump) = grep { -x } map { "$_/mdb_dump" } split /:/, $ENV{PATH};

plan skip_all => 'no mdb_dump; Debian has it in lmdb-utils' if !$mdb_dump;

plan tests => 73;

my $t = Exports::Test->new;
my $top = $t->top;
my $readme = $t->read_file("$top/lmdb-schema/README.md");

my %NUMBER = (
    ready => 1, not_found => 2, pending => 3, processing => 4, failed => 5,
    cancelled => 6,
);
my %EXPORT_KIND = (
    table_export => 1, database_export => 2, schema_export => 3,
);
my %INTEGER = map { $_ => 1 } qw(row_count table_count size_bytes file_size);
my %KEYS = (
    project => [split ' ', ($readme =~ /^(    id kind [a-z0-9_\s]+)/m)[0]],
    user => [split ' ', ($readme =~ /^(    uuid type [a-z0-9_\s]+)/m)[0]],
);
my ($EXPIRES, $LINK, $SUBJECT) = (0x01, 0x02, 0x04);
my ($ADMIN, $TABLES, $INACTIVE) = (0x01, 0x02, 0x04);


# ---- a dump ----------------------------------------------------------------

# { name => { header => { ... }, entries => [[key, value], ...] } }
sub dump_of {
    my ($store) = @_;
    my ($exit, $out, $err) = $t->_exec({}, $mdb_dump, '-a', $store);
    die "mdb_dump: exit $exit\n$err" if $exit != 0;

    my (%dump, $db, @bytes, $in_data);

    for (split /\n/, $out) {
        if ($in_data && /^ ([0-9a-f]*)$/) {
            push @bytes, pack 'H*', $1;
            push @{ $db->{entries} }, [splice @bytes] if @bytes == 2;
        } elsif (/^VERSION=/) {
            $db = { header => {}, entries => [] };
        } elsif (/^HEADER=END$/) {
            $dump{ $db->{header}{database} } = $db;
            $in_data = 1;
        } elsif (/^DATA=END$/) {
            $in_data = 0;
        } elsif (/^(\w+)=(.*)$/) {
            $db->{header}{$1} = $2;
        } else {
            die "mdb_dump: $_";
        }
    }

    return \%dump;
}

sub entries { @{ $_[0]{ $_[1] }{entries} } }


# ---- the decoder -----------------------------------------------------------

# Strings from an offset to the end of a value: undef is null.
sub strings_of {
    my ($value, $at) = @_;
    my @strings;

    while ($at < length $value) {
        die 'half a length' if $at + 2 > length $value;
        my $n = unpack 'n', substr $value, $at, 2;
        $at += 2;

        if ($n == 0xffff) {
            push @strings, undef;
            next;
        }

        die 'a string leaves its value' if $at + $n > length $value;
        push @strings, substr $value, $at, $n;
        $at += $n;
    }

    return @strings;
}

sub scope_of {
    my ($key, $value) = @_;
    die 'length' if length $value != 72;
    my %scope;

    @scope{qw(kind name)} = unpack 'a1 a*', $key;
    @scope{qw(id revision sum)} = unpack 'Q> Q> x48 a8', $value;
    $scope{counts} = [unpack 'x16 Q>6', $value];

    return \%scope;
}

sub token_of {
    my ($key, $value) = @_;
    my %token = (sha256 => unpack('H*', $key));
    die 'a key of another length' if length $key != 32;

    my ($magic, $length, $zero);
    ($magic, $length, @token{qw(sum kind flags ntables)}, $zero,
     @token{qw(scope created expires revoked)}) =
        unpack 'a4 N a8 a1 C n a4 Q> Q> Q> Q>', $value;

    die 'magic' if $magic ne 'EXT1';
    die 'length' if $length != length $value;
    die 'not zero' if $zero ne "\0" x 4;

    ($token{name}, @{ $token{tables} }) = strings_of($value, 56);
    die 'tables' if @{ $token{tables} } != $token{ntables};

    return \%token;
}

sub manifest_of {
    my ($key, $value) = @_;
    my %m = (key => $key, value => $value);
    die 'a key of another length' if length $key != 24;

    @m{qw(scope time tie)} = unpack 'Q> Q> a8', $key;

    my ($magic, $length);
    ($magic, $length, @m{qw(sum kind status flags export_kind len link expires
                            subject_id)}) =
        unpack 'a4 N a8 a1 C C C n n Q> q>', $value;

    die 'magic' if $magic ne 'EXR1';
    die 'length' if $length != length $value;

    $m{item} = substr $value, 40, $m{len};

    my @strings = strings_of($value, 40 + $m{len});
    die 'strings' if @strings != 7;
    @m{qw(id backend storage_key type name group subject_type)} = @strings;

    return \%m;
}

# The keys of the lists that a manifest is in.
sub lists_of {
    my ($m) = @_;
    my $hash = sub { substr sha256($_[0]), 0, 16 };
    my @field = (pack('C', $m->{status}));

    if ($m->{kind} eq 'u') {
        push @field, $hash->($m->{group});
        push @field, $hash->($m->{subject_type}), pack('q>', $m->{subject_id})
            if $m->{flags} & $SUBJECT;
    }

    return map {
        my $facet = $_;
        pack('Q> C', $m->{scope}, $facet)
            . join '', map { $facet & 1 << $_ ? $field[$_] : '' } 0 .. $#field;
    } 0 .. (1 << @field) - 1;
}

# the manifest as it was imported, in the form in which export prints it
sub line_of {
    my ($m, $scope) = @_;
    my $line = json($m->{item});

    delete $line->{download_url};
    $line->{storage_key} = $m->{storage_key} // $m->{id};

    if ($m->{kind} eq 'u') {
        $line->{user} = $scope->{name};
        $line->{storage_backend} = $m->{backend};
        $line->{content_type} = $m->{type};
    }

    return json_text($line);
}

sub token_text {
    my ($token, $scope) = @_;
    my %line = (
        sha256 => $token->{sha256},
        ($token->{kind} eq 'p' ? 'project' : 'user') => $token->{name},
        admin => $token->{flags} & $ADMIN ? JSON::PP::true : JSON::PP::false,
        active => $token->{flags} & $INACTIVE ? JSON::PP::false
                                              : JSON::PP::true,
    );

    $line{"${_}_at"} = $token->{$_} ? stamp($token->{$_}) : undef
        for qw(created expires revoked);
    $line{tables} = [map { Encode::decode_utf8($_) } @{ $token->{tables} }]
        if $token->{flags} & $TABLES;

    return json_text(\%line);
}


# ---- the encoder -----------------------------------------------------------

sub text_of {
    my $text = Encode::encode_utf8($_[0]);
    my %letter = ("\b" => 'b', "\f" => 'f', "\n" => 'n', "\r" => 'r',
                  "\t" => 't', '"' => '"', '\\' => '\\');

    $text =~ s{(["\\\x00-\x1f])}
              { '\\' . ($letter{$1} // sprintf 'u%04X', ord $1) }ge;
    return "\"$text\"";
}

# an item without its link, and the place of that
sub item_and_place {
    my ($line) = @_;
    my $user = exists $line->{user};
    my $item = '';
    my $place = 0;

    for my $key (@{ $KEYS{ $user ? 'user' : 'project' } }) {
        my $value = $line->{$key};
        $item .= ($item eq '' ? '{' : ',') . "\"$key\":";

        if ($key eq 'download_url' && (!$user || $line->{status} eq 'ready')) {
            $place = length($item) + 1;
            $item .= $user ? '""' : text_of("$line->{project}/export/download/"
                                            . $line->{id});
        } elsif (!defined $value) {
            $item .= 'null';
        } elsif ($key eq 'subject') {
            $item .= '{"type":' . text_of($value->{type})
                     . ",\"id\":$value->{id},\"label\":"
                     . (defined $value->{label} ? text_of($value->{label})
                                                : 'null') . '}';
        } else {
            $item .= $INTEGER{$key} ? $value : text_of($value);
        }
    }

    return ("$item}", $place);
}

# the record of a line of export, zeroes where its checksum is
sub record_of {
    my ($line) = @_;
    my $user = exists $line->{user};
    my $id = $user ? $line->{uuid} : $line->{id};
    my ($item, $place) = item_and_place($line);
    my $subject = $line->{subject};
    my @strings = ($id, $line->{storage_backend},
        $line->{storage_key} eq $id ? undef : $line->{storage_key},
        $line->{content_type},
        $user ? @$line{qw(filename type)} : @$line{qw(download_name table)},
        $subject ? $subject->{type} : undef);

    my $rest = pack('a1 C C C n n Q> q>', $user ? 'u' : 'p',
        $NUMBER{ $line->{status} },
        ($line->{expires_at} ? $EXPIRES : 0) | ($place ? $LINK : 0)
            | ($subject ? $SUBJECT : 0),
        $user ? 0 : $EXPORT_KIND{ $line->{kind} }, length $item, $place,
        $line->{expires_at} ? micros($line->{expires_at}) : 0,
        $subject ? $subject->{id} : 0)
        . $item
        . join '', map { defined $_ ? pack 'n/a*', Encode::encode_utf8($_)
                                    : "\xff\xff" } @strings;

    return pack('a4 N x8', 'EXR1', 16 + length $rest) . $rest;
}


# ---- a store with some of everything ---------------------------------------

my $lineage = '0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0';
my $store = $t->path('store');
my $before = int(time * 1_000_000);

$t->ctl_ok('init', $store, '--lineage', $lineage);

my @base = (project => 'demo');

# whether a tie, or an entry, which ends with one, closes a block of a level
sub closes {
    my ($tie, $level) = @_;
    return unpack('N', substr $tie, -4) % 2 ** (5 * $level) == 0;
}

# IDs that end blocks, eight of level 1 and one of them of level 2
my @boundary;

for (my $n = 0; @boundary < 8; $n++) {
    my $tie = substr sha256("exp_b$n"), 0, 8;
    push @boundary, "exp_b$n" if closes($tie, @boundary < 7 ? 1 : 2);
}

my @projects = (
    project_line(@base, id => 'exp_plain'),
    project_line(@base, id => 'exp_keyed', storage_key => 'a/b.csv',
        created_at => '2026-06-02T01:23:45.000001Z', row_count => 0),
    project_line(@base, id => 'exp_expires', status => 'not_found',
        status_reason => "gone \"\\/\b\f\n\r\t\x01\x1b\x1f\x7f\x{20ac}\x{1f600}",
        size_bytes => undef,
        expires_at => '2026-07-01T00:00:00.5Z',
        missing_at => '2026-06-03T00:00:00Z'),
    project_line(@base, id => 'exp_all', kind => 'database_export',
        table => undef, table_count => 3, content_type => 'application/zip',
        created_at => '1970-01-01T00:00:00Z', storage_backend => 's3'),
    project_line(@base, id => 'exp_schema', kind => 'schema_export',
        table => undef, download_name => "\x{fc}.sql",
        created_at => '9999-12-31T23:59:59.999999Z'),
    (map { project_line(@base, id => "exp_$_", created_at =>
        '2026-06-01T00:00:00Z', status => $_ % 3 ? 'ready' : 'not_found') }
        1 .. 40),
    (map { project_line(@base, id => $_, created_at => '2026-06-01T00:00:00Z') }
        @boundary),
    project_line(project => 'other-1', id => 'exp_plain'),
);

my @users = (
    user_line(uuid => 'ready', subject => { type => 'team', id => 7 }),
    user_line(uuid => 'negative', status => 'failed', filename => undef,
        error_message => '', failed_at => '2026-06-02T01:25:00.25Z',
        subject => { type => "t\x{e9}", id => -9223372036854775807 - 1,
                     label => "\x{fc}" }),
    user_line(uuid => 'none', status => 'pending', filename => undef,
        file_size => undef, row_count => undef, completed_at => undef),
    user_line(uuid => 'own', status => 'processing', storage_backend => 's3',
        storage_key => 'own', content_type => 'text/csv', type => 'x y'),
    user_line(uuid => 'moved', status => 'cancelled', user => 'A.b-c_D'),
    (map { user_line(uuid => "many-$_", status =>
        (qw(pending processing ready failed cancelled))[$_ % 5],
        type => "type" . $_ % 3, requested_at => stamp(1_780_000_000_000_000
                                                       + $_ % 7),
        subject => $_ % 4 ? { type => "kind" . $_ % 2, id => $_ % 3 } : undef)
     } 1 .. 60),
);

my %secret = map { $_ => "pat_$_" } qw(plain admin tables none expires
                                       revoked inactive user);

my @tokens = (
    token_line($secret{plain}, @base, created_at => '2026-06-02T00:00:00Z'),
    token_line($secret{admin}, @base, admin => 1),
    token_line($secret{tables}, @base, tables => ['contacts', "\x{fc}"]),
    token_line($secret{none}, @base, tables => []),
    token_line($secret{expires}, @base, expires_at => '2026-06-02T00:00:00.1Z'),
    token_line($secret{revoked}, project => 'other-1'),
    token_line($secret{inactive}, project => 'alone', active => 0),
    token_line($secret{user}, user => 'A.b-c_D'),
);

$t->load($store, @projects, @users, @tokens);

# and changes, which move entries from list to list

$t->load($store,
    (map { project_line(@base, id => "exp_$_", status => 'not_found',
                        created_at => '2026-06-01T00:00:00Z') } 1 .. 3),
    (map { project_line(@base, id => "exp_$_",
                        created_at => stamp(1_790_000_000_000_000 + $_)) }
        4 .. 6),
    user_line(uuid => 'moved', user => 'A.b-c_D', type => 'again',
              subject => { type => 'team', id => 0 }),
    user_line(uuid => 'many-1', subject => undef));

$t->ctl_ok('delete', $store, '--project', 'demo', 'exp_7', 'exp_8',
           $boundary[0]);
$t->ctl_ok('delete', $store, '--user', '42', 'many-2', 'many-3');
$t->ctl_ok('token', 'revoke', $store,
           'tok_' . substr sha256_hex($secret{revoked}), 0, 16);

my $after = int(time * 1_000_000) + 1;
my $dump = dump_of($store);


# ---- the databases ---------------------------------------------------------

is join(' ', sort keys %$dump), 'facets ids manifests meta ranks scopes tokens',
   'seven databases';
is join(' ', map { $_ . ($dump->{$_}{header}{dupsort} // 0)
                   . ($dump->{$_}{header}{dupfixed} // 0) } sort keys %$dump),
   'facets11 ids00 manifests00 meta00 ranks11 scopes00 tokens00', 'their flags';
is $dump->{meta}{header}{mapsize}, 64 << 30, 'the map size';

my $stat = json($t->ctl_ok('stat', $store, '--json'));
is_deeply { map { $_ => scalar entries($dump, $_) } keys %$dump },
          $stat->{entries}, 'as many entries as stat counts';
is $stat->{readers_max}, 1024, 'reader slots';


# ---- meta ------------------------------------------------------------------

my %meta = map { $_->[0] => $_->[1] } entries($dump, 'meta');

is join(' ', sort keys %meta), 'format lineage next_scope', 'meta: keys';
is unpack('H*', substr $meta{format}, 0, -8), '0000000000000002',
   'meta: format';
is unpack('H*', substr $meta{lineage}, 0, -8), $lineage =~ tr/-//dr,
   'meta: lineage';
is length $meta{next_scope}, 16, 'meta: next_scope';


# ---- scopes ----------------------------------------------------------------

my %scope = map { $_->{id} => $_ } map { scope_of(@$_) }
                entries($dump, 'scopes');

is join(' ', map { "$scope{$_}{kind}$scope{$_}{name}" }
                 sort { $a <=> $b } keys %scope),
   'pdemo pother-1 u42 uA.b-c_D palone', 'scopes, numbered as they came';
is join(' ', sort keys %scope), '1 2 3 4 5', 'scopes: IDs';
is unpack('Q>', $meta{next_scope}), 6, 'meta: the next ID';
ok !(grep { $_->{revision} < $before || $_->{revision} > $after }
          values %scope), 'scopes: revisions are times';
cmp_ok $scope{1}{revision}, '>', $scope{2}{revision},
       'scopes: a revision goes up with a change';

my %id_of = map { $_->{kind} . $_->{name} => $_->{id} } values %scope;


# ---- what export prints ----------------------------------------------------

my (@lines, %token_line);

for (split /\n/, $t->ctl_ok('export', $store, '--tokens')) {
    my $line = json($_);
    if ($line->{sha256}) {
        $token_line{ $line->{sha256} } = json_text($line);
    } else {
        push @lines, json_text($line);
    }
}


# ---- tokens ----------------------------------------------------------------

my @token = map { token_of(@$_) } entries($dump, 'tokens');

is_deeply { map { $_->{sha256} => token_text($_) } @token }, \%token_line,
          'tokens: what export prints';
is_deeply [sort map { $_->{sha256} } @token],
          [sort map { sha256_hex($_) } values %secret],
          'tokens: keys are SHA-256';
is_deeply [map { "$_->{kind}$_->{name}" } @token],
          [map { "$scope{$_->{scope}}{kind}$scope{$_->{scope}}{name}" } @token],
          'tokens: their scopes';

my ($revoked) = grep { $_->{revoked} } @token;
is $revoked->{sha256}, sha256_hex($secret{revoked}), 'tokens: the revoked one';
like $t->ctl_ok('token', 'list', $store),
     qr/^tok_@{[substr $revoked->{sha256}, 0, 16]}\s+revoked\b/m,
     'tokens: its ID';
ok !(grep { $_->{flags} & ~7 } @token), 'tokens: no other flags';


# ---- manifests -------------------------------------------------------------

my @manifest = map { manifest_of(@$_) } entries($dump, 'manifests');

is_deeply [map { line_of($_, $scope{$_->{scope}}) } @manifest], \@lines,
          'manifests: what export prints, in its order';

my %count;
$count{ $_->{scope} }[$_->{status} - 1]++ for @manifest;
is_deeply { map { $_ => $scope{$_}{counts} } keys %scope },
          { map { my $id = $_; $id => [map { $count{$id}[$_] // 0 } 0 .. 5] }
                keys %scope },
          'scopes: numbers of manifests by status';

ok !(grep { my $item = json($_->{item});
            $_->{tie} ne tie($_->{id})
            || $_->{time} != micros($item->{created_at}
                                    // $item->{requested_at}) } @manifest),
   'manifests: keys of their times and IDs';

# and the other way round, but for the checksum

my @different = grep {
    my $value = $manifest[$_]{value};
    substr $value, 8, 8, "\0" x 8;
    $value ne record_of(json($lines[$_]));
} 0 .. $#manifest;

is join(' ', map { $manifest[$_]{id} } @different), '',
   'manifests: of what export prints, the same bytes';
is "@{ $KEYS{project} }", "@Exports::Test::ITEM_KEYS",
   'README: the keys of a project\'s item';


# ---- ids -------------------------------------------------------------------

my %ids = map { ($_->{kind} eq 'p' ? 'p' . pack('Q>', $_->{scope}) : 'u')
                . $_->{id} => $_->{key} } @manifest;
my @ids_entries = entries($dump, 'ids');

is_deeply { map { unpack('H*', $_->[0]) => unpack('H48', $_->[1]) }
            @ids_entries },
          { map { unpack('H*', $_) => unpack('H*', $ids{$_}) } keys %ids },
          'ids: each leads to its manifest';
ok !(grep { length $_->[1] != 32 } @ids_entries), 'ids: of 32 bytes';


# ---- facets ----------------------------------------------------------------

my (%want, %lists, %got);

for my $m (@manifest) {
    my @keys = lists_of($m);
    $want{ unpack('H*', $_) . ' ' . unpack('H*', substr $m->{key}, 8) }++
        for @keys;
    $lists{ ($m->{kind} eq 'p' ? 'project' : 'user')
            . ($m->{flags} & $SUBJECT ? ' with subject' : '') }{ @keys }++;
}

$got{ unpack('H*', $_->[0]) . ' ' . unpack('H*', $_->[1]) }++
    for entries($dump, 'facets');

is_deeply \%got, \%want, 'facets: the lists, and nothing else';
is_deeply { map { $_ => join ' ', keys %{ $lists{$_} } } keys %lists },
          { project => 2, user => 4, 'user with subject' => 16 },
          'facets: so many lists is a manifest in';


# ---- ranks -----------------------------------------------------------------

my (%entries_of, @blocks_wanted);

push @{ $entries_of{ $_->[0] } }, $_->[1] for entries($dump, 'facets');

for my $list (sort keys %entries_of) {
    for my $level (1 .. 4) {
        my $count = 0;

        for my $entry (sort @{ $entries_of{$list} }) {
            $count++;
            next if !closes($entry, $level);
            push @blocks_wanted, unpack('H*', $list . chr $level) . ' '
                                 . unpack('H*', $entry . pack 'N', $count);
            $count = 0;
        }
    }
}

is_deeply [map { unpack('H*', $_->[0]) . ' '
                 . unpack 'H*', substr $_->[1], 0, 20 }
               entries($dump, 'ranks')], \@blocks_wanted,
          'ranks: the blocks of the lists, and nothing else';
cmp_ok scalar(grep { /^\S*01 / } @blocks_wanted), '>=', 16,
       'ranks: blocks of level 1';
cmp_ok scalar(grep { /^\S*02 / } @blocks_wanted), '>=', 2,
       'ranks: blocks of level 2';


# ---- the order of pages ----------------------------------------------------

for (['--project', 'demo', 'p'], ['--user', '42', 'u']) {
    my ($option, $name, $kind) = @$_;
    my $id = $id_of{$kind . $name};
    my %by_entry = map { substr($_->{key}, 8) => $_->{id} }
                       grep { $_->{scope} == $id } @manifest;
    my $printed = sub {
        map { json($_)->{ $kind eq 'p' ? 'id' : 'uuid' } }
            split /\n/, $t->ctl_ok('list', $store, '--json', $option, $name,
                                   @_) };

    is join(' ', $printed->()),
       join(' ', reverse map { $_->{id} } grep { $_->{scope} == $id }
                                               @manifest),
       "a page of $name: the manifests from the end";

    for my $status ('ready', $kind eq 'p' ? 'not_found' : 'failed') {
        my $list = pack 'Q> C C', $id, 0x01, $NUMBER{$status};
        is join(' ', $printed->('--status', $status)),
           join(' ', reverse map { $by_entry{ $_->[1] } }
                             grep { $_->[0] eq $list }
                                  entries($dump, 'facets')),
           "a page of $name, $status: the list from the end";
    }
}


# ---- checksums: their place ------------------------------------------------

# The same manifest under another key, in a store whose first scope is another:
# all bytes but those of the checksum are the same.  And because the key's part
# is joined by XOR, two checksums of one key differ as those of the other do.

sub value_in {
    my ($name, $db, $match) = @_;
    my @found = grep { $_->[0] =~ $match } entries(dump_of($t->path($name)),
                                                   $db);
    die "$db: " . @found . ' entries' if @found != 1;
    return @{ $found[0] };
}

my @sums;

$t->store('first');
$t->store('second', project_line(project => 'another', id => 'exp_x'));

for my $reason ('short', 'x' x 300) {
    my @value;

    for my $name ('first', 'second') {
        $t->load($t->path($name), project_line(@base, id => 'exp_1',
                                               status_reason => $reason));
        my ($key, $value) = value_in($name, 'manifests',
                                     qr/\Q@{[tie('exp_1')]}\E\z/);
        push @value, $value;
        push @sums, substr $value, 8, 8;
    }

    my @differ = grep { substr($value[0], $_, 1) ne substr $value[1], $_, 1 }
                      0 .. length($value[0]) - 1;

    ok length $value[0] == length $value[1] && @differ > 0
       && !(grep { $_ < 8 || $_ > 15 } @differ),
       'a manifest under another key: bytes 8 to 15 differ'
        or diag "@differ";
}

is unpack('H*', $sums[0] ^ $sums[1]), unpack('H*', $sums[2] ^ $sums[3]),
   'the key takes part by XOR';


# ---- checksums: what they take in ------------------------------------------

# A byte that is changed, whichever, is noticed; so are values that are sound,
# but under each other's keys.

$t->store('copy');
my @ends = grep { closes(tie("exp_$_"), 1) } 1 .. 300;

$t->load($t->path('first'), project_line(project => 'second', id => 'exp_2'),
         map({ project_line(project => 'blocks', id => "exp_$_") }
             @ends[0 .. 2]),
         map { token_line($_, @base, created_at => '2026-06-02T00:00:00Z') }
             'pat_1', 'pat_2');

my $data = $t->read_file('first/data.mdb');

sub verify_of {
    my ($bytes) = @_;
    open my $fh, '+<:raw', $t->path('copy/data.mdb') or die "open: $!";
    truncate $fh, 0;
    print $fh $bytes;
    close $fh or die "close: $!";

    my ($exit, $out, $err) = $t->ctl('verify', $t->path('copy'));
    return $exit == 0 ? '' : $out . $err;
}

is verify_of($data), '', 'the store is sound';

my %first = %{ dump_of($t->path('first')) };

sub unnoticed {
    my ($value, @at) = @_;
    my @unnoticed;

    for my $at (@at) {
        my $changed = $value;
        substr $changed, $at, 1, chr(ord(substr $value, $at, 1) ^ 0x10);
        my $copy = $data =~ s/\Q$value/$changed/gr;
        die 'the value is not in the file' if $copy eq $data;
        push @unnoticed, $at if verify_of($copy) eq '';
    }

    return @unnoticed;
}

for (['scopes', 0], ['ids', 0], ['tokens', 0], map { ['meta', $_] } 0 .. 2) {
    my ($db, $i) = @$_;
    my $value = (entries(\%first, $db))[$i][1];
    is join(' ', unnoticed($value, 0 .. length($value) - 1)), '',
       "$db, $i: every byte matters";
}

my $record = (entries(\%first, 'manifests'))[0][1];
my $n = length $record;
is join(' ', unnoticed($record, 0 .. 41, map({ 60 * $_ } 1 .. $n / 60 - 1),
                       $n - 30 .. $n - 1)), '', 'manifests: every byte matters';

# two lists of the same entries: the same blocks, and the key's part by XOR
my @ranks = map { $_->[1] } entries(\%first, 'ranks');
is join(' ', map { length } @ranks), join(' ', (24) x 6), 'ranks: two lists';
is_deeply [map { substr $_, 0, 20 } @ranks[0 .. 2]],
          [map { substr $_, 0, 20 } @ranks[3 .. 5]], 'ranks: the same blocks';

my %xor = map { (substr($ranks[$_], 20) ^ substr($ranks[$_ + 3], 20)) => 1 }
              0 .. 2;
is scalar(grep { !/^\0+\z/ } keys %xor), 1, 'ranks: the key takes part by XOR';
is scalar(keys %xor), 1, 'and in the same way for each block';
is join(' ', unnoticed($ranks[1], 0 .. 23)), '', 'ranks: every byte matters';

for my $db ('scopes', 'tokens') {
    my ($one, $two) = map { $_->[1] } (entries(\%first, $db))[0, 1];
    die "$db: lengths" if length $one != length $two;

    my $copy = $data =~ s/\Q$one\E|\Q$two/$& eq $one ? $two : $one/ger;
    my $said = verify_of($copy);
    is scalar(() = $said =~ /^$db: .*fails its checksum/mg), 2,
       "$db: values under each other's keys" or diag $said;
}


# ---- the example of the README ---------------------------------------------

my ($sample) = $readme =~ /^```json\n(.*?)^```$/ms;
my @blocks = $readme =~ /^```text\n(.*?)^```$/msg;
my @init = $readme =~ /^ +exportsctl (init --lineage \S+) sample$/m;

is @blocks, 2, 'README: an example';

$t->ctl_ok(split(' ', $init[0]), $t->path('sample'));
$t->ctl_ok('import', $t->path('sample'), '-', { stdin => $sample });

my %example;
my ($db, $part, $bytes);

for (split /\n/, "$blocks[0]\n") {
    if (/^(\w+), (key|value)$/) {
        ($db, $part) = ($1, $2);
        push @{ $example{$db} }, [] if $part eq 'key';
        push @{ $example{$db}[-1] }, '';
    } elsif (/^  ([0-9a-f]{4})  ([0-9a-f]{2,32})(?: |$)/) {
        fail("README: offset $1 of $db, $part")
            if hex $1 != length $example{$db}[-1][-1];
        $example{$db}[-1][-1] .= pack 'H*', $2;
    } elsif (/\S/) {
        fail("README: $_");
    }
}

for (map { s/\n {5,}(?! |=)//gr } $blocks[1]) {
    while (/^  ([0-9a-f ]+)\n    = ([0-9a-f ]+)$/mg) {
        push @{ $example{facets} }, [map { pack 'H*', tr/ //dr } $1, $2];
    }
}

my $real = dump_of($t->path('sample'));

# revisions are times
for my $of ($example{scopes}, [entries($real, 'scopes')]) {
    substr $_->[1], 64, 8, '' for @$of;
    substr $_->[1], 8, 8, '' for @$of;
}

for my $name (sort keys %$real) {
    is_deeply [map { [map { unpack 'H*', $_ } @$_] } @{ $example{$name} }],
              [map { [map { unpack 'H*', $_ } @$_] } entries($real, $name)],
              "README: the example, $name";
}


# ---- the programs of the README --------------------------------------------

my @programs = $readme =~ /^```c\n(.*?)^```$/msg;
my @libs = $readme =~ /^ +cc .*\n.*(-lexports .*)$/m;
my $lib = "$top/build/lib";

is @programs, 2, 'README: two programs';

SKIP: {
    my @cc = split ' ', $ENV{CC} || 'gcc';

    skip 'no libexports.a', 6 if !-e "$lib/libexports.a";

    for my $i (0, 1) {
        my $name = ('put', 'page')[$i];
        my $file = $t->write_file("$name.c", $programs[$i]);
        my ($exit, undef, $err) = $t->_exec({}, @cc, qw(-Wall -Wextra -Werror),
            "-I$top/lmdb-schema", '-o', $t->path($name), $file, "-L$lib",
            split ' ', $libs[0]);
        is $exit, 0, "README: $name compiles" or diag $err;
    }

    my $line = project_line(@base, id => 'exp_new');
    my $path = $t->store('programs', project_line(@base, id => 'exp_gone',
                                                  status => 'not_found'));

    my @result = $t->_exec({}, $t->path('put'), $path, $line);
    is "$result[0] $result[1]", "0 added exp_new\n", 'README: put';
    @result = $t->_exec({}, $t->path('put'), $path, $line);
    is "$result[0] $result[1]", "0 replaced exp_new\n", 'README: put again';
    @result = $t->_exec({}, $t->path('put'), $path, '{}');
    is $result[0], 1, 'README: put what is none';

    @result = $t->_exec({}, $t->path('page'), $path, 'demo');
    like "$result[0] $result[1]", qr/^0 1 of 1\n\{"id":"exp_new",.*\}\n\z/,
         'README: page';
}

like verify_of($data), qr/^\z/, 'and the first store is still sound';

$t->done;
