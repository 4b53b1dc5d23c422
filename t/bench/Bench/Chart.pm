package Bench::Chart;

# The CPU times of all cases as bars: an SVG, drawn by gnuplot.

use warnings;
use strict;

use Exporter 'import';

use Bench::Report qw(median);
use Bench::Util qw(write_file execute);

our @EXPORT_OK = qw(draw);

# bars of a case from the top: title, colour, servers, of which the first that
# the case has is meant
my @BARS = (
    ['ngx_exports', '#1f6fb4', qw(gzip exports)],
    ['ngx_exports, page cache', '#7fb8e6', qw(gzip_cached cached)],
    ['compared with', '#8a8a8a', qw(gzip_filter static return reference)],
    ['nginx, Lua', '#d9822b', qw(lua)],
);


# draw(results, directory for files, SVG)
sub draw {
    my ($results, $dir, $file) = @_;
    my @cases = grep { $_->{aims} } @{ $results->{requests} };

    return if !@cases;

    write_file("$dir/chart.$_", _bars($_, @cases)) for 0 .. $#BARS;
    write_file("$dir/chart.gp", _script($dir, $file, $results, @cases));
    execute(60, 'gnuplot', "$dir/chart.gp");
}

# value, the bottom and the top of its bar
sub _bars {
    my ($bar, @cases) = @_;
    my (undef, undef, @servers) = @{ $BARS[$bar] };
    my $height = 0.8 / @BARS;
    my $text = '';

    for my $i (0 .. $#cases) {
        my ($server) = grep { $cases[$i]{samples}{$_} } @servers;

        next if !defined $server;

        my $cpu = median(map { $_->{cpu} } @{ $cases[$i]{samples}{$server} });
        my $low = $i - 0.4 + $height * $bar;

        $text .= sprintf "%.3f %.3f %.3f\n", $cpu, $low, $low + $height;
    }

    # gnuplot refuses a file without any

    return $text || "NaN NaN NaN\n";
}

sub _script {
    my ($dir, $file, $results, @cases) = @_;
    my %machine = map { @$_ } @{ $results->{machine} };
    my $height = 110 + 40 * @cases;
    my $title = 'CPU time of a request, microseconds\n'
                . "{/*0.8 $machine{CPU}, $machine{date}}";
    my $tics = join ', ', map { qq("$cases[$_]{name}" $_) } 0 .. $#cases;
    my $plots = join ", \\\n  ", map {
        qq("$dir/chart.$_" using (1):2:(1):1:2:3 with boxxyerror )
        . qq(fillstyle solid 1 noborder linecolor rgb "$BARS[$_][1]" )
        . qq(title "$BARS[$_][0]")
    } 0 .. $#BARS;

    return <<"END";
set terminal svg size 900,$height font "sans-serif,13" background "white"
set output "$file"
set title "$title" enhanced
set logscale x
set xrange [1:*]
set yrange [@{[ $#cases + 0.6 ]}:-0.6]
set ytics ($tics) scale 0 noenhanced
set grid xtics linecolor rgb "#dddddd"
set border 3
set tics nomirror
set key outside below horizontal noenhanced
plot $plots
END
}

1;
