package Bench::Imports;

# What writing costs.

use warnings;
use strict;

use Exporter 'import';

use Bench::Util qw(say_progress write_file remove_dir json execute);

our @EXPORT_OK = qw(take_imports take_changes);

my $CHANGES = 500;

# by a stream, where many share a commit
my $STREAMED = 20_000;


# Seconds of each import into a fresh store.
sub take_imports {
    my ($data, $case, $times) = @_;

    $times = $case->{times} if ($case->{times} // $times) < $times;

    # the making of a store that was not there is a measurement, too

    $data->import_again while $data->imports < $times;

    return { manifests => $data->count, seconds => [$data->imports] };
}

# Rates of changes that are each durable before the next begins: ours, of LMDB,
# which is given back a record of the same store, and of LMDB again, given back
# what is on all pages that ours writes.  And ours by a stream, as fast as a pipe
# takes them.
sub take_changes {
    my ($dir, $ctl, $bare, $data, $case, $rounds) = @_;
    my $store = "$dir/changes";
    my (@ours, @lmdb, @pages, @stream);

    say_progress("$case->{name}: $rounds rounds of $CHANGES commits");

    remove_dir($store);
    execute(600, 'cp', '-r', $data->store, $store);

    for my $round (1 .. $rounds) {
        my $lines = "$dir/changes.ndjson";

        write_file($lines, join '', $data->changes($CHANGES, $round));
        execute(600, 'sync');

        my $before = _last_commit($ctl, $store);
        my ($seconds) = execute(600, $ctl, 'import', '--batch', 1, $store,
                                $lines);
        my $commits = _last_commit($ctl, $store) - $before;

        die "$commits commits, not $CHANGES\n" if $commits != $CHANGES;

        push @ours, $CHANGES / $seconds;

        ($seconds) = execute(600, $bare, $store, $CHANGES, $round);
        push @lmdb, $CHANGES / $seconds;

        ($seconds) = execute(600, $bare, $store, $CHANGES, $round, 'all');
        push @pages, $CHANGES / $seconds;

        write_file($lines, join '', $data->changes($STREAMED, $round));
        execute(600, 'sync');
        ($seconds) = execute(600, 'sh', '-c',
                             'cat "$1" | "$2" import --stream "$3" -', 'sh',
                             $lines, $ctl, $store);
        push @stream, $STREAMED / $seconds;
    }

    remove_dir($store);

    return { ours => \@ours, lmdb => \@lmdb, pages => \@pages,
             stream => \@stream };
}

sub _last_commit {
    my ($ctl, $store) = @_;
    my (undef, $text) = execute(60, $ctl, 'stat', '--json', $store);

    return json($text)->{txnid};
}

1;
