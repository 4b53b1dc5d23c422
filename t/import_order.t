# exportsctl import parses lines by several threads: what is kept, and which
# line is refused, are as if one had read them in their order.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;
my @ctls = $t->ctls;

plan tests => @ctls * 48 + 1;

my $n = 0;
my $project = 'demo';

sub line {
    my ($id, %o) = @_;
    return project_line(project => $project, id => "exp_$id", %o) . "\n";
}

sub fresh { $t->store('order' . $n++) }

sub file { $t->write_file('lines' . $n++, join '', @_) }

sub count { scalar(() = $t->ctl_ok('export', @_) =~ /\n/g) }

# what a store holds, as it came in
sub stored {
    return join '', map { "$_\n" } sort split /\n/, $t->ctl_ok('export', @_);
}

# lines of a few projects and users that replace each other, and what of them
# stays; uuids that two users have if asked for, and the first line that is
# refused for one
sub random_lines {
    my ($lines, $conflicts) = @_;
    my (@lines, %kept, %user, $refused);

    for my $n (1 .. $lines) {
        my $time = '2026-06-0' . (1 + int rand 9) . 'T00:00:00Z';

        if (rand() < 0.1) {
            push @lines, token_line("pat_$n", project => 'p' . int rand 5)
                         . "\n";

        } elsif (rand() < 0.6) {
            my $line = line(int(rand($lines / 10)), row_count => $n,
                            project => 'p' . int(rand 5),
                            created_at => $time);
            my $of = json($line);

            push @lines, $line;
            $kept{"$of->{project} $of->{id}"} = $line;

        } else {
            my $id = int rand($lines / 10);
            my $user = $conflicts && rand() < 0.01 ? 8 : 1 + $id % 4;
            my $line = user_line(user => $user, uuid => "u-$id",
                                 row_count => $n, requested_at => $time)
                       . "\n";

            push @lines, $line;
            $user{$id} //= $user;
            $refused //= $n if $user{$id} != $user;
            $kept{$id} = $line;
        }
    }

    return (\@lines, \%kept, $refused);
}

# the line that is refused, and why
sub refused {
    my (@args) = @_;
    my ($exit, $out, $err) = $t->ctl('import', @args);
    return "exit $exit: $err" if $exit != 1;
    return $err =~ /^exportsctl: import: line (.*)$/m ? $1 : $err;
}

for my $ctl (@ctls) {
    $t->use_ctl($ctl);

    # ---- the last line of an id is what stays

    my @lines = map { line($_ % 97, row_count => $_) } 1 .. 9700;
    my $file = file(@lines);
    my $expected = join ' ', map { 9603 + $_ } 1 .. 97;

    for my $batch (10000, 1000, 7) {
        my $store = fresh();
        my $said = json($t->ctl_ok('import', $store, $file, '--json',
                                   '--batch', $batch));

        is $said->{replaced}, 9603, "batches of $batch: replaced";
        is join(' ', sort { $a <=> $b } map { json($_)->{row_count} }
                     split /\n/, $t->ctl_ok('export', $store)),
           $expected, "batches of $batch: the last of each";
    }

    # ---- many scopes, some lines of which are held back

    my $seed = $ENV{TEST_SEED} // int rand 1 << 31;
    srand $seed;

    for my $count (50, 1000, 5000) {
        my ($random, $kept) = random_lines($count, 0);
        my $name = file(@$random);
        my $model = fresh();

        # each once: what replaces what is not left to the import

        $t->ctl_ok('import', $model, file(values %$kept));

        for my $batch (100_000, 333) {
            my $store = fresh();

            $t->ctl_ok('import', $store, $name, '--batch', $batch);
            is stored($store), stored($model),
               "$count random lines, batches of $batch (seed $seed)";
        }

        my $first;
        ($random, undef, $first) = random_lines($count, 1) until $first;
        $name = file(@$random);

        for my $batch (100_000, 333) {
            like refused(fresh(), $name, '--batch', $batch), qr/^$first: uuid:/,
                 "the first of several conflicts, batches of $batch "
                 . "(seed $seed)";
        }
    }

    # two IDs whose SHA-256 begin with the same 8 bytes: they cannot have one
    # time, and the first may give its own up by a line that comes before

    my ($older, $newer) = ('2026-06-01T00:00:00Z', '2026-06-02T00:00:00Z');
    my $at_first = line('da1dc6b6b1e54f96', created_at => $older);
    my $later = line('da1dc6b6b1e54f96', created_at => $newer);
    my $second = line('85fc068470f09856', created_at => $older);
    my $like = fresh();

    like refused($like, file($at_first, $second)),
         qr/^2: exp_85fc068470f09856: cannot be told in order from /,
         'of one tie and time';
    $t->ctl_ok('import', $like, file($at_first));
    like refused($like, file($second)),
         qr/^1: exp_85fc068470f09856: cannot be told/, 'of a stored one';
    $t->ctl_ok('import', $like, file($later, $second));
    is count($like), 2, 'of one that has been moved';

    # of several that were held back, which are put in the order of time

    like refused(fresh(), file(
        map({ user_line(user => 2, uuid => "u-$_",
                        requested_at => "2026-06-0${_}T00:00:00Z") . "\n" }
            1 .. 3),
        map({ user_line(user => 1, uuid => "u-$_->[0]",
                        requested_at => $_->[1]) . "\n" }
            [1, $newer], [2, $older], [3, '2026-06-03T00:00:00Z']))),
         qr/^4: uuid:/, 'the first of three conflicts, which is not the oldest';

    # more than are held back at once, and than there are places for their IDs

    my @much = map { line($_, project => 'p' . $_ % 997) } 1 .. 70_000;
    my $held = fresh();

    $much[2] = user_line(user => 1, uuid => 'u-1') . "\n";
    $t->ctl_ok('import', $held, file(@much));
    is count($held), 70_000, '70,000 lines';

    $much[40_499] = user_line(user => 2, uuid => 'u-1') . "\n";
    like refused(fresh(), file(@much)), qr/^40500: uuid: /,
         'a conflict with a line that was put long before';

    # on one processor one thread parses

    my $one = fresh();
    my $command = $t->write_file('one', "#!/bin/sh\n"
                                 . "exec taskset -c 0 $ctl \"\$@\"\n");
    chmod 0755, $command or die "$command: $!";
    $t->use_ctl($command);
    $t->ctl_ok('import', $one, $file);
    $t->use_ctl($ctl);

    my $many = fresh();
    $t->ctl_ok('import', $many, $file);
    is $t->ctl_ok('export', $one), $t->ctl_ok('export', $many),
       'one thread, and several: the same';

    # ---- of several lines that are bad the first is named

    # it is known to be bad long after those behind it: it is long, and so are
    # those that are parsed with it

    my $long = line('long') =~ s/^\{/'{' . ' ' x 200_000/er;
    my @slow = ($long) x 3;
    my $bad = $long =~ s/\}$/,}/r;

    for my $before (0, 1, 63, 64, 65, 500) {
        my $at = $before + 4;
        my $names = file(@lines[0 .. $before - 1], @slow, $bad,
                         (line('x', status => 'x')) x 500);

        like refused(fresh(), $names), qr/^$at: not JSON/,
             "$before lines before the bad one";
    }

    my $store = fresh();
    my $names = file(@lines[0 .. 2999], '{"project":"demo"}' . "\n",
                     @lines[0 .. 99], "x\n", @lines);

    like refused($store, $names, '--batch', 1000), qr/^3001: id: missing/,
         'of two bad lines';
    is count($store), 97, 'what is before its batch is kept';

    # one that the store refuses comes before one that is no JSON, and behind

    my $theirs = user_line(user => 1, uuid => 'u-1') . "\n";
    my $mine = user_line(user => 2, uuid => 'u-1') . "\n";

    like refused(fresh(), file($theirs, @lines[0 .. 199], $mine,
                               ("x\n") x 200)),
         qr/^202: uuid: /, 'a conflict before what is no JSON';
    like refused(fresh(), file($theirs, "x\n", @lines[0 .. 199], $mine)),
         qr/^2: not JSON/, 'and behind it';

    # ---- lines are counted

    my $blank = "\n \r\n" x 1000;

    like refused(fresh(), file($lines[0], $blank, "x\n")), qr/^2002: /,
         'blank lines';
    like refused(fresh(), file($blank, @lines[0 .. 99], $blank, "x\n"),
                 '--batch', 3),
         qr/^4101: /, 'blank lines in small batches';
    is json($t->ctl_ok('import', fresh(), file($blank), '--json'))->{lines},
       2000, 'nothing but blank lines';

    like refused(fresh(), file(@lines[0 .. 999], 'x' x 3_000_000 . "\n",
                               @lines[0 .. 99])),
         qr/^1001: longer than 262144 bytes/, 'a line of 3 MB';
    like refused(fresh(), file(@lines[0 .. 999], 'x' x 300_000 . "\n",
                               @lines[0 .. 99])),
         qr/^1001: longer than 262144 bytes/, 'a line of 300 KB';

    # ---- lines that leave much behind

    my @tables = map { 't' x 1000 . $_ } 1 .. 64;
    my @tokens = map { token_line("pat_$_", project => $project,
                                  tables => \@tables) . "\n" } 1 .. 150;
    my @large = map { line("large_$_", row_count => $_, table => "\x01" x 1024,
                           format => 'f' x 1024) } 1 .. 150;

    $store = fresh();
    my $said = json($t->ctl_ok('import', $store, '--json',
        file(map { $large[$_], $tokens[$_] } 0 .. $#tokens)));
    is "$said->{manifests} $said->{tokens}", '150 150',
       'large manifests and tokens';

    my %found;
    $found{ json($_)->{row_count} // 0 }++
        for grep { !/"sha256"/ } split /\n/, $t->ctl_ok('export', $store);
    is keys %found, 150, 'each manifest once';

    my @same = grep { join(' ', @{ json($_)->{tables} }) eq "@tables" }
               grep { /"sha256"/ }
               split /\n/, $t->ctl_ok('export', $store, '--tokens');
    is @same, 150, 'each token with its tables';
    like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'verify: no faults';

    # ---- a signal while the next batch is waited for

    $store = fresh();
    my $job = $t->start_ctl('import', $store, '-', '--batch', 100);

    print { $job->{in} } map { line("s$_") } 1 .. 350;
    $job->{in}->flush;
    wait_for { count($store) == 300 };
    kill 'TERM', $job->{pid};

    my ($exit, undef, $err) = $t->finish($job);
    is $exit, 1, 'SIGTERM: exit';
    like $err, qr/lines 1-300 are committed, line 301 and after are not/,
         'SIGTERM: what is committed';
    is count($store), 300, 'SIGTERM: it is';
    is json($t->ctl_ok('import', $store, '--json', file(@lines)))->{manifests},
       9700, 'the store can be written';
}

$t->done;
