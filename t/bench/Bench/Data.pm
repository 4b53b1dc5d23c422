package Bench::Data;

# Manifests out of a seed, and the stores made of them.  Both stay in the
# directory of the benchmarks and are made anew when what decides them changes.
# The manifests of the largest set are not kept: they go to the import as they
# are made.

use warnings;
use strict;

use Digest::SHA qw(sha256_hex);
use POSIX ();

use Bench::Util qw(
    say_progress commas read_file write_file make_dir remove_dir json
    json_text execute execute_fed
);

my $SEED = 20260602;

# the newest manifest is of 2026-06-01T00:00:00Z at the latest, the oldest of
# two years before
my $END = 1_780_272_000;
my $SPAN = 730 * 86_400;

my $READY = 0.9;

# name => projects, manifests of each, and the same to try things out
my %SETS = (
    'one-1k' => [1, 1000, 1, 200],
    'one-10k' => [1, 10_000, 1, 1000],
    'one-100k' => [1, 100_000, 1, 5000],
    'one-1m' => [1, 1_000_000, 1, 20_000],
    'one-10m' => [1, 10_000_000, 1, 40_000],
    'many' => [1000, 1000, 20, 100],
    'crowd' => [100_000, 10, 500, 10],
);
my %STREAMED = ('one-10m' => 1);

# longer than any import should take
my $BOUND = 3600;

my @TABLES = qw(
    contacts orders invoices order_lines customers payments shipments
    products sessions audit_events subscriptions support_tickets
);

# format, content type, the end of names
my %FORMATS = (
    table_export => [
        ['csv', 'text/csv; charset=utf-8', 'csv'],
        ['csv', 'text/csv; charset=utf-8', 'csv'],
        ['json', 'application/json', 'json'],
        ['zip-csv', 'application/zip', 'zip'],
    ],
    database_export => [['zip', 'application/zip', 'zip']],
    schema_export => [['sql', 'application/sql', 'sql']],
);


# new(directory, exportsctl, name of the set, whether it is to be tiny)
sub new {
    my ($class, $dir, $ctl, $name, $tiny) = @_;
    my ($projects, $each) = @{ $SETS{$name} }[$tiny ? (2, 3) : (0, 1)];

    return bless {
        name => $name, ctl => $ctl, dir => "$dir/$name",
        projects => $projects, each => $each, imports => [],
        streamed => $STREAMED{$name},
    }, $class;
}

sub name { $_[0]{name} }
sub count { $_[0]{projects} * $_[0]{each} }
sub projects { $_[0]{projects} }
sub size { $_[0]{each} }
sub store { "$_[0]{dir}/store" }

sub project {
    my ($self, $i) = @_;
    return sprintf 'bench_%04d', $i;
}

sub token {
    my ($self, $i) = @_;
    return 'pat_' . substr sha256_hex("$SEED $self->{name} $i"), 0, 40;
}

# how many manifests of a project have that status; the project behind the
# last has none
sub total {
    my ($self, $i, $status) = @_;

    return 0 if $i >= $self->{projects};
    return $self->{each} if $status eq 'all';

    $self->{counts} //= json(read_file("$self->{dir}/counts.json"));
    my $ready = $self->{counts}[$i];

    return $status eq 'ready' ? $ready : $self->{each} - $ready;
}

# the oldest of all, as text
sub oldest { read_file("$_[0]{dir}/oldest.json") }

# bytes of the store, and manifests in it
sub store_size {
    my ($self) = @_;
    my (undef, $text) = execute($BOUND, $self->{ctl}, 'stat', '--json',
                                $self->store);
    my $stat = json($text);

    return ($stat->{page_size} * ($stat->{pages_used} - $stat->{pages_free}),
            $stat->{entries}{manifests});
}

# seconds that imports into fresh stores took in this run
sub imports { @{ $_[0]{imports} } }


# ---- manifests -------------------------------------------------------------

sub file { "$_[0]{dir}/manifests.ndjson" }

# all that decides the files
sub _parameters {
    my ($self) = @_;

    return json_text({
        seed => $SEED, projects => $self->{projects}, each => $self->{each},
        generator => sha256_hex(read_file(__FILE__)),
    });
}

# Writes the files, unless they are there.
sub generate {
    my ($self) = @_;
    my $made = "$self->{dir}/parameters";
    my $parameters = $self->_parameters;

    if ((read_file($made) // '') ne $parameters) {
        say_progress("$self->{name}: writing ", commas($self->count),
                     ' manifests') if !$self->{streamed};

        remove_dir($self->{dir});
        make_dir($self->{dir});
        $self->_write_tokens;
        $self->_write_file if !$self->{streamed};
        write_file($made, $parameters);
    }
}

sub _write_file {
    my ($self) = @_;

    open my $out, '>:raw', $self->file or die $self->file . ": $!\n";
    $self->_write_manifests($out);
    close $out or die $self->file . ": $!\n";
}

sub _write_tokens {
    my ($self) = @_;

    write_file("$self->{dir}/tokens.ndjson", join '', map {
        sprintf qq({"sha256":"%s","project":"%s"}\n),
                sha256_hex($self->token($_)), $self->project($_)
    } 0 .. $self->{projects});
}

# As a service would dump them: oldest first, projects as they come.
sub _write_manifests {
    my ($self, $out) = @_;
    my $last = $self->{projects} - 1;
    my @projects = map { $self->project($_) } 0 .. $last;
    my @ready = (0) x @projects;
    my $step = $SPAN * 1e6 / $self->count;
    my $n = 0;

    srand $SEED + $self->count + $self->{projects};

    for (1 .. $self->{each}) {
        my @order = 0 .. $last;

        for my $i (reverse 1 .. $last) {
            my $j = int rand $i + 1;
            @order[$i, $j] = @order[$j, $i];
        }

        for my $i (@order) {
            my $at = ($END - $SPAN) * 1_000_000 + int($step * ($n++ + rand));
            my $is_ready = rand() < $READY;

            $ready[$i]++ if $is_ready;
            my $manifest = _manifest($projects[$i], $at, $is_ready);

            print $out $manifest or die "manifests: $!\n";
            write_file("$self->{dir}/oldest.json", $manifest) if $n == 1;
        }
    }

    write_file("$self->{dir}/counts.json", json_text(\@ready));
}

# days and times of the day are few
my (%days, @clocks);

sub _stamp {
    my ($second) = @_;
    my $day = int $second / 86_400;
    my $rest = $second % 86_400;

    $days{$day} //= POSIX::strftime('%Y-%m-%dT', gmtime $second);
    $clocks[$rest] //= sprintf '%02d:%02d:%02d', $rest / 3600,
                               $rest / 60 % 60, $rest % 60;

    return $days{$day} . $clocks[$rest];
}

# one line; about 490 bytes when it is sent
sub _manifest {
    my ($project, $at, $is_ready) = @_;
    my $second = int $at / 1_000_000;
    my $created = _stamp($second);
    my $random = rand;
    my $kind = $random < 0.9 ? 'table_export'
               : $random < 0.97 ? 'database_export' : 'schema_export';
    my $table = $kind eq 'table_export' ? $TABLES[rand @TABLES] : undef;
    my $formats = $FORMATS{$kind};
    my ($format, $type, $end) = @{ $formats->[rand @$formats] };
    my $rows = int exp rand 14;
    my $clock = $created =~ tr/T:-/_/dr;

    return sprintf '{"id":"exp_%s_%010x","kind":"%s","scope":"project",'
        . '"project":"%s","table":%s,"format":"%s",'
        . '"download_name":"%s.%s","storage_backend":"local",'
        . '"content_type":"%s","row_count":%s,"table_count":%s,'
        . '"size_bytes":%d,"status":"%s","status_reason":%s,"missing_at":%s,'
        . '"created_at":"%s.%06dZ","expires_at":%s}' . "\n",
        $clock, rand 2 ** 40, $kind, $project,
        defined $table ? qq("$table") : 'null', $format,
        $table // $project, $end, $type,
        $kind eq 'schema_export' ? 'null' : $rows,
        $kind eq 'table_export' ? 'null' : scalar @TABLES,
        200 + $rows * 83, $is_ready ? 'ready' : 'not_found',
        $is_ready ? 'null' : '"artifact_missing"',
        $is_ready ? 'null' : '"' . _stamp($second + 30 * 86_400) . 'Z"',
        $created, $at % 1_000_000,
        rand() < 0.9 ? 'null' : '"' . _stamp($second + 3650 * 86_400) . 'Z"';
}


# ---- stores ----------------------------------------------------------------

# Imports the manifests into a fresh store at that path and takes the time of
# it, from the start of the process to its end.
sub import_into {
    my ($self, $store) = @_;
    my @import = ($self->{ctl}, 'import', $store);

    remove_dir($store);
    execute($BOUND, $self->{ctl}, 'init', $store);

    # neither the reading of the file nor what was written before is to count

    $self->_warm_file if !$self->{streamed};
    execute($BOUND, 'sync');

    my ($seconds) = $self->{streamed}
        ? execute_fed($BOUND, sub { $self->_write_manifests($_[0]) }, @import,
                      '-')
        : execute($BOUND, @import, $self->file);

    my (undef, $text) = execute($BOUND, $self->{ctl}, 'stat', '--json',
                                $store);
    my $manifests = json($text)->{entries}{manifests};

    die "the store holds $manifests manifests, not " . $self->count . "\n"
        if $manifests != $self->count;

    push @{ $self->{imports} }, $seconds;
}

sub _warm_file {
    my ($self) = @_;

    open my $fh, '<:raw', $self->file or die $self->file . ": $!\n";
    1 while sysread $fh, my $buffer, 1 << 20;
}

# Makes the store, unless it is there.
sub build {
    my ($self) = @_;
    my $made = "$self->{dir}/store.parameters";
    my $parameters = $self->_parameters
                     . sha256_hex(read_file($self->{ctl}) // '') . "\n";

    return if (read_file($made) // '') eq $parameters;

    say_progress("$self->{name}: importing ", commas($self->count),
                 ' manifests');

    unlink $made;
    $self->import_into($self->store);
    execute($BOUND, $self->{ctl}, 'token', 'import', $self->store,
            "$self->{dir}/tokens.ndjson");
    write_file($made, $parameters);
}

# Lines that change one manifest each, its status: others for each round.
sub changes {
    my ($self, $n, $round) = @_;
    my $step = int $self->count / $n;
    my @lines;

    open my $fh, '<:raw', $self->file or die $self->file . ": $!\n";

    while (<$fh>) {
        next if ($. + 7919 * $round) % $step || @lines == $n;

        s/"status":"(\w+)"/'"status":"' . ($1 eq 'ready' ? 'not_found'
                                                        : 'ready') . '"'/e;
        push @lines, $_;
    }

    return @lines;
}

# Imports once more, into a store that is thrown away.
sub import_again {
    my ($self) = @_;
    my $store = "$self->{dir}/store.scratch";

    say_progress("$self->{name}: importing ", commas($self->count),
                 ' manifests');

    $self->import_into($store);
    remove_dir($store);
}

1;
