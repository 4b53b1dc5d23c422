package Bench::Results;

# What was measured, as results.json holds it, in words and tables.

use warnings;
use strict;

use Exporter 'import';
use List::Util qw(max min sum);
use Text::Wrap qw(wrap);

use Bench::Report qw(
    median ratios spread number text_table markdown_table
);
use Bench::Servers qw(%SERVERS);
use Bench::Util qw(commas);

our @EXPORT_OK = qw(brief summary details);

my $MIB = 1 << 20;

my $BRIEF = <<'END';
What a worker needs for a request, user and system, beside what nginx needs to
send the same bytes from a file (open_file_cache, without sendfile), or by
`return` where they are few; beside another request to the module; and beside a
Lua program in nginx that reads the same store and checks no checksums. One
worker on one CPU, wrk on another, in turn; medians, and of the ratios the
quartiles, too. Other machines give other numbers. How it is measured, and all
results: [t/bench/README.md](t/bench/README.md).
END


# For who wants to know whether it is fast, in Markdown.
sub brief {
    my ($results) = @_;
    my @compared = grep { $_->{aims} } @{ $results->{requests} };

    return join '', map { _part(1, @$_) }
        [undef, $BRIEF, _machine_table($results)],
        ['CPU time of a request, microseconds', _ratio_table(@compared),
         _missed(_aim_table(@compared))],
        _growth($results), _writing($results);
}

# All tables.
sub summary {
    my ($results, $markdown) = @_;
    my @parts = ([undef, conditions($results)]);
    my @cases = @{ $results->{requests} };

    my @compared = grep { $_->{aims} } @cases;

    push @parts, ['CPU time of a request, microseconds',
                  _cost_table(@compared)],
                 ['Requests a second', _rate_table(@compared)],
                 ['Aims', _aim_table(@compared)] if @compared;
    push @parts, _growth($results);
    push @parts, ['Longest requests', _longest_table(@cases)]
        if grep { $_->{longest} } @cases;
    push @parts, _writing($results);
    push @parts, ['Memory of a worker', _memory_table($results)]
        if $results->{memory}{bare};
    push @parts, ['Stores', _store_table(@{ $results->{stores} })];
    push @parts, ['Not measured', _skipped_table(@{ $results->{skipped} })]
        if @{ $results->{skipped} };

    return join '', map { _part($markdown, @$_) } @parts;
}

sub _growth {
    my ($results) = @_;
    my @cases = grep { $_->{growth} } @{ $results->{requests} };

    return @cases ? ['Growth', _growth_tables(@cases)] : ();
}

sub _writing {
    my ($results) = @_;
    my ($imports, $changes) = @$results{qw(imports changes)};

    return (@$imports ? ['Import', _import_table(@$imports)] : (),
            @$changes ? ['Changes', _change_table(@$changes)] : ());
}

# a part is a title, or none, and text or the rows of a table
sub _part {
    my ($markdown, $title, @content) = @_;
    my $text = join '', map {
        !ref $_ ? "$_\n"
            : $markdown ? markdown_table(@$_) . "\n" : text_table(@$_) . "\n"
    } @content;

    return !defined $title ? ($markdown ? $text : '')
        : $markdown ? "### $title\n\n$text" : "\n$title\n\n$text";
}

sub conditions {
    my ($results) = @_;
    my ($rounds, $seconds, $connections) =
        @{ $results->{options} }{qw(rounds seconds connections)};

    return <<"END", _machine_table($results);
Measured by `./run bench`; other machines give other numbers. $rounds rounds; in
each the servers of a case are measured for $seconds s, in turn. Each server is in
the one worker of an nginx, without an access log, all of these workers on one
CPU; on another wrk: one thread, $connections connections kept alive. CPU time: of
the worker, user and system (/proc/PID/schedstat), divided by the responses that
wrk got. Numbers are medians with the quartiles in parentheses, ratios those of
the same round. Before, the answers of all servers are compared. Everything is in
memory. Page cache: exports_page_cache 64m, for all cases together.

File: nginx, our answer as a static file, open_file_cache, without sendfile.
Lua: Debian's nginx with its Lua module, which reads the same store with liblmdb
by LuaJIT's FFI (t/bench/peer); it does not check checksums, as ours does. A/A:
the same file from another process, which shows the noise.
END
}

sub _machine_table { return [['Machine', ''], @{ $_[0]{machine} }] }


# ---- requests --------------------------------------------------------------

sub _values {
    my ($case, $server, $key) = @_;
    return [map { $_->{$key} } @{ $case->{samples}{$server} // [] }];
}

sub _title {
    my ($case, $server) = @_;

    return $server eq 'reference' ? "ngx_exports, $case->{reference}"
                                  : $SERVERS{$server}{title};
}

sub _cpu {
    my ($case, $server) = @_;
    my @values = @{ _values($case, $server, 'cpu') };

    return @values ? number(2, median(@values)) : '';
}

sub _rate {
    my ($case, $server) = @_;
    my @values = @{ _values($case, $server, 'rate') };

    return @values ? number(0, median(@values)) : '';
}

sub _first_of {
    my ($case, @names) = @_;

    for my $name (@names) {
        return $name if $case->{samples}{$name};
    }

    return undef;
}

sub _cost_table {
    my @rows = (['case', 'bytes', 'ours', 'ours, page cache', 'compared with',
                 'it', 'A/A', 'sendfile', 'Lua']);

    for my $case (@_) {
        my $cached = _first_of($case, qw(gzip_cached cached));
        my $again = $case->{samples}{static_again}
            ? number(3, median(ratios(_values($case, 'static_again', 'cpu'),
                                      _values($case, 'static', 'cpu'))))
            : '';

        push @rows, [
            "$case->{name}: $case->{title}", commas($case->{bytes}),
            _cpu($case, $case->{servers}[0]),
            $cached ? _cpu($case, $cached) : '',
            _short($case, $case->{base}), _cpu($case, $case->{base}), $again,
            map { $case->{samples}{$_} ? _cpu($case, $_) : '' }
                qw(sendfile lua),
        ];
    }

    return \@rows;
}

sub _ratio_table {
    my @rows = (['case', 'compared with', 'it', 'ours', 'ratio',
                 'ours, page cache', 'ratio', 'Lua']);

    for my $case (@_) {
        my $base = $case->{base};

        push @rows, [
            "$case->{name}: $case->{title}", _short($case, $base),
            _cpu($case, $base),
            (map { $_ ? (_cpu($case, $_),
                         spread(2, ratios(map { _values($case, $_, 'cpu') }
                                              $_, $base)))
                      : ('', '') }
                 $case->{servers}[0],
                 _first_of($case, qw(gzip_cached cached))),
            _cpu($case, 'lua'),
        ];
    }

    return \@rows;
}

sub _rate_table {
    my @rows = (['case', 'ours', 'ours, page cache', 'compared with', 'it',
                 'ratio', 'ratio, page cache', 'Lua']);

    for my $case (@_) {
        my ($ours, $base) = ($case->{servers}[0], $case->{base});
        my $cached = _first_of($case, qw(gzip_cached cached));

        push @rows, [
            $case->{name}, _rate($case, $ours),
            $cached ? _rate($case, $cached) : '', _short($case, $base),
            _rate($case, $base),
            (map { $_ ? spread(2, ratios(map { _values($case, $_, 'rate') }
                                             $_, $base)) : '' }
                 $ours, $cached),
            _rate($case, 'lua'),
        ];
    }

    return \@rows;
}

my %SHORT = (static => 'file', exports => 'uncompressed',
             gzip_filter => "nginx's gzip", cached => 'uncompressed, cached');

sub _short {
    my ($case, $server) = @_;

    return $server eq 'reference' ? $case->{reference}
                                  : $SHORT{$server} // $server;
}

sub _verdict {
    my ($ratio, $aim, $stretch) = @_;

    return $ratio > $aim ? 'not met'
        : defined $stretch && $ratio <= $stretch ? 'met, stretch too' : 'met';
}

sub _aim_table {
    my @rows = (['case', 'server', 'divided by', 'ratio of CPU times', 'aim',
                 'stretch', '']);

    for my $case (@_) {
        for my $aim (@{ $case->{aims} }) {
            my ($server, $base, $most, $stretch) = @$aim;

            next if grep { !$case->{samples}{$_} } $server, $base;

            my @ratios = ratios(map { _values($case, $_, 'cpu') } $server,
                                $base);

            push @rows, [
                $case->{name}, $SERVERS{$server}{title}, _short($case, $base),
                spread(2, @ratios), $most, $stretch // '',
                _verdict(median(@ratios), $most, $stretch),
            ];
        }
    }

    return \@rows;
}

# in words; of the table of aims
sub _missed {
    my (undef, @rows) = @{ $_[0] };
    my @missed;

    for (grep { $_->[-1] eq 'not met' } @rows) {
        my ($case, $server, $base, $ratio, $aim) = @$_;
        my $which = $server =~ /page cache/ ? ', page cache' : '';

        push @missed, "$case$which " . $ratio =~ s/ .*//r . " ($base, $aim)";
    }

    local $Text::Wrap::columns = 81;

    return wrap('', '', 'Of ' . @rows . ' aims ' . (@rows - @missed)
                        . ' are met. Not met, as ratio (to what, aim): '
                        . join('; ', @missed) . '.') . "\n";
}

# [table, title, column => its heading, ...], ...
my @GROWTH = (
    ['manifests', 'exports of one project', '1k' => '1,000',
     '10k' => '10,000', '100k' => '100,000', '1m' => '1,000,000',
     '10m' => '10,000,000'],
    ['projects', 'projects, of 1,000,000 exports', '1' => '1',
     '1,000' => '1,000', '100,000' => '100,000'],
);

sub _growth_tables {
    my @tables;

    for my $growth (@GROWTH) {
        my ($table, @columns) = @$growth;
        my @cases = grep { $_->{growth} && $_->{growth}[0] eq $table } @_;

        push @tables, _growth_table(\@cases, @columns) if @cases;
    }

    return ("CPU us a request: ours, Lua. Requests a second: of one worker on a "
            . "CPU of its own,\nand of two workers on any CPU, wrk's included.\n",
            @tables);
}

sub _growth_table {
    my ($cases, $title, %columns) = @_;
    my (@names, %seen, %at);

    for my $case (@$cases) {
        my (undef, $row, $column) = @{ $case->{growth} };

        push @names, $row if !$seen{$row}++;
        $at{$row}{$column} = $case;
    }

    my @order = sort { $columns{$a} =~ tr/,//dr <=> $columns{$b} =~ tr/,//dr }
                     keys %columns;
    my @rows = ([$title, @columns{@order}]);

    for my $row (@names) {
        push @rows, [$row, map { _numbers($at{$row}{$_}, \&_cpu,
                                          qw(exports lua)) } @order];
    }

    for my $row (@names) {
        my @cells = map { _numbers($at{$row}{$_}, \&_rate, qw(exports two)) }
                        @order;

        push @rows, ["$row: requests/s, 1 worker, 2", @cells]
            if grep { /,.* / } @cells;
    }

    return \@rows;
}

sub _numbers {
    my ($case, $number, @servers) = @_;

    return $case ? join ', ', grep { $_ ne '' }
                              map { $number->($case, $_) } @servers
                 : '';
}

sub _longest_table {
    my @rows = (['case', 'server', 'requests', 'longest CPU time, ms', 'aim',
                 '']);

    for my $case (grep { $_->{longest} } @_) {
        for my $server (grep { $case->{probe}{$_} } qw(exports cached lua)) {
            my $probe = $case->{probe}{$server};

            push @rows, [
                $case->{name}, _title($case, $server),
                commas($probe->{requests}), number(3, $probe->{longest}),
                $server eq 'lua' ? ('', '')
                    : ($case->{longest},
                       _verdict($probe->{longest}, $case->{longest})),
            ];
        }
    }

    return \@rows;
}


# ---- writing, memory, stores -----------------------------------------------

sub _import_table {
    my @rows = (['exportsctl import', 'manifests', 'manifests/s', 'seconds',
                 'aim', 'stretch', '']);

    for my $case (@_) {
        my @rates = map { $case->{manifests} / $_ } @{ $case->{seconds} };
        my $rate = median(@rates);

        push @rows, [
            "$case->{name}: $case->{title}", commas($case->{manifests}),
            spread(0, @rates), spread(1, @{ $case->{seconds} }),
            commas($case->{aim}), commas($case->{stretch}),
            _verdict(1 / $rate, 1 / $case->{aim}, 1 / $case->{stretch}),
        ];
    }

    return 'From the start of the process to its end, durable at the end.'
           . "\n", \@rows;
}

sub _change_table {
    my @rows = (['each in a durable commit', 'ours/s', "LMDB's put/s", 'ratio',
                 'aim', '', 'of the same pages/s', 'ratio',
                 'ours, by a stream/s']);

    for my $case (@_) {
        my @ratios = ratios($case->{ours}, $case->{lmdb});

        # results of an earlier version have none

        my ($pages, $stream) = @$case{qw(pages stream)};

        push @rows, [
            "$case->{name}: $case->{title}", spread(0, @{ $case->{ours} }),
            spread(0, @{ $case->{lmdb} }), spread(2, @ratios), $case->{aim},
            _verdict(1 / median(@ratios), 1 / $case->{aim}),
            $pages ? (spread(0, @$pages),
                      spread(2, ratios($case->{ours}, $pages)))
                   : ('', ''),
            $stream ? spread(0, @$stream) : '',
        ];
    }

    return "LMDB's put: of the record alone. Of the same pages: LMDB's puts"
           . " to all\npages that ours writes, of the record, its two lists,"
           . " their blocks and the\nscope. By a stream: import --stream, to"
           . " which cat writes; many changes share a\ncommit.\n", \@rows;
}

sub _memory_table {
    my ($results) = @_;
    my $memory = $results->{memory};
    my @rows = (['after all cases', 'MiB', 'beyond plain nginx', 'aim', '']);

    for my $process (grep { $memory->{$_} } qw(bare exports cached)) {
        my $beyond = ($memory->{$process} - $memory->{bare}) / $MIB;
        my $most = 8 + ($process eq 'cached' ? 64 : 0);

        push @rows, [
            $process eq 'bare' ? 'nginx, return'
                               : $SERVERS{$process}{title},
            number(1, $memory->{$process} / $MIB),
            $process eq 'bare' ? ('', '', '')
                : (number(1, $beyond), $most, _verdict($beyond, $most)),
        ];
    }

    return \@rows;
}

sub _store_table {
    my @rows = (['', 'manifests', 'MiB', 'bytes a manifest']);

    for my $store (@_) {
        push @rows, [
            $store->{name}, commas($store->{manifests}),
            number(0, $store->{bytes} / $MIB),
            number(0, $store->{bytes} / $store->{manifests}),
        ];
    }

    return \@rows;
}

# those of one server and reason together
sub _skipped_table {
    my (%cases, @rows);

    for (@_) {
        my ($case, $server, $why) = @$_;
        push @{ $cases{$server}{$why} }, $case;
    }

    for my $server (sort keys %cases) {
        for my $why (sort keys %{ $cases{$server} }) {
            my @names = @{ $cases{$server}{$why} };
            push @rows, [@names > 3 ? @names . ' cases' : "@names", $server,
                         $why];
        }
    }

    return [['', 'server', 'why'], @rows];
}


# ---- details ---------------------------------------------------------------

# Each case with all of its servers.
sub details {
    my ($results) = @_;
    my @cases = @{ $results->{requests} };
    my $text = '';

    for my $case (@cases) {
        $text .= join "\n", "\n### $case->{name}: $case->{title}\n",
                            markdown_table(_server_rows($case)),
                            _doubts($case), '';
    }

    $text .= "\n### Headers\n\nOf page responses; besides the bodies all"
             . " that differs.\n" . _headers($cases[0]) if @cases;

    return $text;
}

sub _server_rows {
    my ($case) = @_;
    my $base = $case->{base};
    my @rows = (['', 'requests/s', 'CPU us a request', 'busy', 'CPU ratio',
                 'requests/s ratio', 'p99, us', 'longest, ms']);

    for my $server (grep { $case->{samples}{$_} } @{ $case->{servers} }) {
        my ($rate, $cpu, $busy, $p99) = map { _values($case, $server, $_) }
                                        qw(rate cpu busy p99);
        my $ratio = sub { spread(3, ratios($_[0],
                                           _values($case, $base, $_[1]))) };

        push @rows, [
            _title($case, $server), spread(0, @$rate), spread(2, @$cpu),
            sprintf('%.0f%%', 100 * median(@$busy)),
            $server eq $base ? ('1', '1')
                             : ($ratio->($cpu, 'cpu'), $ratio->($rate, 'rate')),
            number(0, median(@$p99)),
            number(3, $case->{probe}{$server}{longest}),
        ];
    }

    return @rows;
}

# what else may have made these numbers
sub _doubts {
    my ($case) = @_;
    my @samples = values %{ $case->{samples} };
    my $others = max(map { median(map { $_->{others} } @$_) } @samples);
    my $busy = min(map { median(map { $_->{busy} } @$_) } @samples);
    my @doubts;

    push @doubts, sprintf 'Doubtful: other processes used up to %.0f%% of a'
        . ' CPU meanwhile.', 100 * $others if $others > 0.05;
    push @doubts, 'Where the worker was not busy, requests/s are not its own'
        . ' limit.' if $busy < 0.9;
    push @doubts, "Commits meanwhile: $case->{commits}." if $case->{commits};

    return @doubts;
}

sub _headers {
    my ($case) = @_;

    return join '', map {
        "\n" . _title($case, $_) . ":\n\n"
        . ($case->{headers}{$_} =~ s/^/    /mgr)
    } grep { $case->{headers}{$_} } qw(exports static lua);
}

1;
