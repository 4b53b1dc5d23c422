package Bench::Report;

# Medians, spreads, ratios; tables for a terminal and in Markdown.

use warnings;
use strict;

use Exporter 'import';
use List::Util qw(max);
use POSIX ();

use Bench::Util qw(commas);

our @EXPORT_OK = qw(median ratios text_table markdown_table spread number);


sub median { return _quantile(0.5, @_) }

sub _quantile {
    my ($q, @values) = @_;
    my @sorted = sort { $a <=> $b } @values;
    my $at = $q * $#sorted;
    my $low = POSIX::floor($at);
    my $high = POSIX::ceil($at);

    return $sorted[$low] + ($sorted[$high] - $sorted[$low]) * ($at - $low);
}

sub number {
    my ($digits, $value) = @_;
    return commas(sprintf "%.${digits}f", $value);
}

# median (first quartile-third quartile)
sub spread {
    my ($digits, @values) = @_;
    my ($median, $low, $high) = map { number($digits, _quantile($_, @values)) }
                                0.5, 0.25, 0.75;

    return @values > 1 ? "$median ($low-$high)" : $median;
}

# of each round by itself: what disturbs a round disturbs both
sub ratios {
    my ($of, $to) = @_;
    return map { $of->[$_] / $to->[$_] } 0 .. $#$of;
}

# ([heading, ...], [cell, ...], ...); the first column is text
sub text_table {
    my @rows = @_;
    my @width;

    for my $row (@rows) {
        $width[$_] = max($width[$_] // 0, length $row->[$_]) for 0 .. $#$row;
    }

    return join '', map {
        my $row = $_;
        '  ' . join('  ', map {
            sprintf $_ ? '%*s' : '%-*s', $width[$_], $row->[$_]
        } 0 .. $#$row) . "\n";
    } @rows;
}

sub markdown_table {
    my ($heading, @rows) = @_;

    return join '', map { '| ' . join(' | ', @$_) . " |\n" } $heading,
        ['---', ('---:') x $#$heading], @rows;
}

1;
