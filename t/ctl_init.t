# exportsctl init where another one was killed, or is at work: one store, with
# the owners and modes it was to have, and its name only when it has them.

use warnings;
use strict;

use File::Copy ();
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;
my @ctls = $t->ctls;
my $ROUNDS = 5;
my $AT_ONCE = 6;

plan tests => @ctls * (27 + 3 * $ROUNDS) + 1;

my @group = $t->user ? ('--group', scalar getgrgid((getpwnam $t->user)[3])) : ();
my $gid = @group ? getgrnam($group[1]) : (stat $t->path('.'))[5];

# mode and group
sub access_of {
    my ($path) = @_;
    my (undef, undef, $mode, undef, undef, $group) = stat $path or return '';

    return sprintf '%04o %d', $mode & 07777, $group;
}

sub init {
    my ($path) = @_;
    return json($t->ctl_ok('init', $path, '--json', @group));
}

# what mkdir and open leave behind
sub begun {
    my ($path, @files) = @_;

    mkdir $path or die "mkdir: $!";

    for my $file (@files) {
        $t->write_file("$path/$file", '');
        chmod 0600, "$path/$file";
    }

    chmod 02770, $path;
    chown -1, $gid, $path;
}

# A new store without its first commit: LMDB has written the pages, and of the
# meta page the commit would have been in only what it was before.
sub uncommitted {
    my ($path) = @_;

    init($path);

    my $data = $t->read_file("$path/data.mdb");
    my $size = unpack 'L<', substr $data, 40, 4;

    substr $data, $size + 16, 136, substr $data, 16, 136;
    $t->write_file("$path/data.mdb", $data);
}

sub sound {
    my ($path, $name) = @_;

    is access_of("$path/data.mdb"), "0640 $gid", "$name: data.mdb";
    is access_of("$path/lock.mdb"), "0660 $gid", "$name: lock.mdb";
    like $t->ctl_ok('verify', $path), qr{: 0 faults}, "$name: verify";
}

my $n = 0;

for my $ctl (@ctls) {
    $t->use_ctl($ctl);

    for (['a directory'], ['data.mdb', 'data.mdb'],
         ['both files', 'data.mdb', 'lock.mdb'])
    {
        my ($what, @files) = @$_;
        my $path = $t->path('begun' . $n++);

        begun($path, @files);
        is init($path)->{created}, JSON::PP::true, "after $what: created";
        sound($path, "after $what");
    }

    my $path = $t->path('uncommitted' . $n++);

    uncommitted($path);
    cmp_ok -s "$path/data.mdb", '>', 8192, 'before the first commit: pages';
    is init($path)->{created}, JSON::PP::true,
       'before the first commit: created';
    is init($path)->{created}, JSON::PP::false, 'and then it is there';
    sound($path, 'before the first commit');

    # a store keeps what it has been given since

    chmod 0600, "$path/data.mdb";
    init($path);
    is access_of("$path/data.mdb"), "0600 $gid", 'a mode is left alone';

    # nor is what somebody else has put there

    begun($path = $t->path('linked' . $n++), 'data.mdb');
    my $other = $t->write_file("$path.other", '');
    chmod 0600, $other;
    link $other, "$path/lock.mdb" or die "link: $!";
    $t->ctl('init', $path, @group);
    is sprintf('%04o', (stat $other)[2] & 07777), '0600',
       'a file elsewhere is left alone';

    SKIP: {
        skip 'needs root', 7 if !$t->user;

        # a directory above that may be searched only

        my $parent = $t->path('searched' . $n++);
        my (undef, undef, $uid, $group) = getpwnam $t->user;
        mkdir $parent or die "mkdir: $!";
        mkdir "$parent/own" or die "mkdir: $!";
        chown $uid, $group, "$parent/own";
        chmod 0711, $parent, $t->path('.');

        # where the tree is, the user may not be let in

        my $copy = $t->path('ctl' . $n++);
        File::Copy::copy($ctl, $copy) or die "copy: $!";
        chmod 0755, $copy;

        my ($exit, $out, $err) = $t->_exec({}, 'runuser', '-u', $t->user, '--',
            $copy, 'init', "$parent/own", '--json');
        is $exit, 0, 'a parent that may not be read: exit' or diag $err;
        is json($out || '{}')->{created}, JSON::PP::true, 'and created';
        is $err, '', 'and nothing else';

        # who has not all rights needs those that this umask takes away

        for my $to ('init', 'backup') {
            ($exit, $out, $err) = $t->_exec({ umask => 0777 }, 'runuser', '-u',
                $t->user, '--', $copy, $to eq 'init'
                    ? ('init', "$parent/own/store")
                    : ('backup', "$parent/own/store", "$parent/own/copy"));
            is $exit, 0, "$to, umask 0777: exit" or diag $err;
        }

        for my $name ('store', 'copy') {
            is join(' ', map { (access_of("$parent/own/$name$_") =~ /\S+/g)[0] }
                             '', '/data.mdb', '/lock.mdb'),
               '2770 0640 0660', "umask 0777: modes of the $name";
        }
    }

    for my $round (1 .. $ROUNDS) {
        my $path = $t->path('at_once' . $n++);
        my @results = at_once(sub { $t->ctl('init', $path, '--json', @group) });
        my %lineages;

        is scalar(grep { $_->{created} } @results), 1,
           "at once, round $round: one has made it";
        $lineages{ $_->{lineage} }++ for @results;
        is "@{[ values %lineages ]}", $AT_ONCE,
           "at once, round $round: all say the same lineage";
        is access_of($path), "2770 $gid", "at once, round $round: directory";
    }
}

is join(' ', glob $t->path('*.tmp.*')), '', 'nothing is left beside the stores';

# the results of processes that run it together
sub at_once {
    my ($run) = @_;
    my @from;

    for (1 .. $AT_ONCE) {
        my $pid = open(my $from, '-|') // die "fork: $!";

        if ($pid == 0) {
            my ($exit, $out, $err) = $run->();
            print $exit == 0 ? $out : json_text({ failed => $err });
            close STDOUT;
            POSIX::_exit(0);
        }

        push @from, $from;
    }

    return map { local $/; json(scalar readline $_) } @from;
}
