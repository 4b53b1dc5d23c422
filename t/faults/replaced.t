# The files of a store are replaced as they must not be, under load: renamed
# over, copied back, deleted.  Readers notice soon, and a writer that has
# the old ones open refuses to write.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use File::Copy ();
use Test::More;
use Time::HiRes 'time';

use Exports::Faults;
use Exports::Test;

my $ROUNDS = strength(1, 10);

# a second, and what a busy machine needs
my $SOON = 10;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    exports_store %%DIR%%/store;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /other/ { return 200 other; }
    }
}
EOC

my $token = 'pat_of_all';
my @auth = (Authorization => "Bearer $token");
my $uri = '/projects/demo/exports?limit=500';
my $store = $t->path('store');
my $n = 0;

# a data file with exports of its own, and the mode and group of a store's

sub copy {
    my ($from, $to) = @_;
    File::Copy::copy($from, $to) or die "copy: $!";
    chown -1, (getpwnam $t->user)[3], $to if $t->user;
    chmod $to =~ /lock/ ? 0660 : 0640, $to;
    return $to;
}

sub fresh {
    my $name = 'new' . ++$n;
    generation($t, $name, 10, $token);

    # with the old lock.mdb LMDB may read the commit before the last

    $t->token($t->path($name), project => 'demo', token => $token);

    return ($name, copy($t->path("$name/data.mdb"), $t->path("fresh$n")));
}

# what is done, to the name of the generation that is then seen, or undef: the
# same as before

my @cases = (
    ['data.mdb renamed over' => sub {
        my ($name, $file) = fresh();
        rename $file, "$store/data.mdb" or die "rename: $!";
        return $name;
    }],
    ['data.mdb copied back' => sub {
        # what a restore does that knows no better: the same inode
        my $old = $t->path('saved');
        open my $in, '<:raw', $old or die "$old: $!";
        open my $out, '+<:raw', "$store/data.mdb" or die "open: $!";
        local $/;
        print $out scalar <$in>;
        close $out or die "close: $!";
        return;
    }],
    ['lock.mdb deleted' => sub {
        unlink "$store/lock.mdb" or die "unlink: $!";
        return;
    }],
    ['lock.mdb renamed over' => sub {
        my $file = $t->write_file('lock', '');
        chown -1, (getpwnam $t->user)[3], $file if $t->user;
        chmod 0660, $file;
        rename $file, "$store/lock.mdb" or die "rename: $!";
        return;
    }],
    ['both, by another directory' => sub {
        my ($name) = fresh();
        rename $store, $t->path("gone$n") or die "rename: $!";
        rename $t->path($name), $store or die "rename: $!";
        return $name;
    }],
);

plan tests => (6 * @cases + 2 + 2) * $ROUNDS + 3;

generation($t, 'store', 10, $token);
$t->allow_log(qr{/store\b});
$t->run;

# generations that were swapped in; exports that were written later are "late"

my $load = Exports::Faults->load($t, 2, sub {
    my ($client) = @_;
    my $r = $client->ask($uri, @auth);

    # between two renames there may be no file

    if ($r && $r->status == 503) {
        $client->count('503');
    } elsif ($r) {
        my %seen = map { $_ => 1 } map { /^exp_(store|new\d+)_/ } ids($r);
        $client->fault('not of one generation: ' . $r->raw)
            if $r->status != 200 || keys %seen != 1
               || total($r) != (my @ids = ids($r));
    }

    $r = $client->ask('/other/');
    $client->fault('another location: ' . $r->raw)
        if $r && ($r->status != 200 || $r->body ne 'other');
});

sub put_line {
    my ($id) = @_;
    return project_line(project => 'demo', id => "exp_$id",
                        created_at => '2020-01-01T00:00:00Z') . "\n";
}

# whether all connections, of both workers, show this export; in seconds
my @connections = map { $t->connect } 1 .. 6;

sub seen_after {
    my ($id) = @_;
    my $begun = time;

    wait_for {
        !grep { my $r = $_->get($uri, @auth);
                !grep { $_ eq "exp_$id" } ids($r) } @connections;
    };

    return time - $begun;
}

my $late = 0;

for (map { @cases } 1 .. $ROUNDS) {
    my ($case, $replace) = @$_;
    my $id = 'late_' . ++$late;

    # a writer that has committed, and waits for its next line

    my $writer = $t->start_ctl('import', $store, '-', '--batch', 1);
    print { $writer->{in} } put_line("${id}_a");
    cmp_ok seen_after("${id}_a"), '<', $SOON, "$case: a writer at work";
    copy("$store/data.mdb", $t->path('saved'));
    $t->load($store, put_line("${id}_b"));

    my $name = $replace->();
    my $begun = time;

    cmp_ok seen_after("${name}_1"), '<', $SOON, "$case: noticed"
        if defined $name;

    my $before = $t->read_file("$store/data.mdb");
    print { $writer->{in} } put_line("${id}_c");
    my ($exit, undef, $err) = $t->finish($writer);
    is $exit, 1, "$case: the writer refuses";
    like $err, qr/ a file of "[^"]+" was replaced while in use$/m, "$case: why";
    ok $t->read_file("$store/data.mdb") eq $before, "$case: nothing is written";

    # lock.mdb counts the commits of another data.mdb: all writers refuse, until
    # what is there has a directory of its own

    if ($case =~ /^data/) {
        ($exit, undef, $err) = $t->ctl('put', $store, '-',
                                       { stdin => put_line("${id}_d") });
        like "$exit: $err", qr/^1: .* was replaced while in use$/m,
             "$case: others refuse, too";

        mkdir $t->path('mended') or die "mkdir: $!";
        copy("$store/data.mdb", $t->path('mended/data.mdb'));
        chown -1, (getpwnam $t->user)[3], $t->path('mended') if $t->user;
        chmod 02770, $t->path('mended');
        rename $store, $t->path("spoilt$id") or die "rename: $!";
        rename $t->path('mended'), $store or die "rename: $!";
    }

    $t->load($store, put_line("${id}_e"));
    cmp_ok seen_after("${id}_e"), '<', $SOON, "$case: later commits are seen";
    like $t->ctl_ok('verify', $store), qr/\b0 faults/, "$case: sound";
}

my $report = $load->stop;
no_faults($report, 'clients: each answer is of one generation');
note explain $report->{counts};

$_->close for @connections;
cmp_ok $report->{counts}{503} // 0, '<', $report->{answers} / 4, 'rarely a 503';

$t->done;
