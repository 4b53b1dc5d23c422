# The disk of a store is full, under load: a clear error, nothing half done,
# readers as before; with space it goes on.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Exports::Faults;
use Exports::Test;

in_namespace();

my $ROUNDS = strength(1, 10);
my $BATCH = 50;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    exports_store %%DIR%%/disk/current;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
        location /other/ { return 200 other; }
    }
}
EOC

my $disk = $t->path('disk');
my $n = 0;

# a small file system
sub mount {
    my ($exit, undef, $err) = $t->_exec({}, 'mount', @_, $disk);
    return if $exit == 0;
    die "mount: $err" if Test::More->builder->has_plan;
    plan skip_all => "mount: $err";
}

sub line {
    my ($id) = @_;
    return project_line(project => 'demo', id => "exp_$id", table => 'x' x 900)
           . "\n";
}

# what little space is left
sub fill {
    open my $fh, '>', $_[0] or die "$_[0]: $!";
    1 while syswrite $fh, "\0" x 4096;
    die "write: $!" if !$!{ENOSPC};
}

mkdir $disk or die "mkdir: $!";
mount(qw(-t tmpfs -o), 'size=3m,mode=2755', 'none');
plan tests => 19 * $ROUNDS + 3;
chown -1, (getpwnam $t->user)[3], $disk if $t->user;

my $token = 'pat_of_all';
my @auth = (Authorization => "Bearer $token");
my $uri = '/projects/demo/exports?limit=20';
my $store = "$disk/store";
my $spare = "$disk/spare";

$t->ctl_ok('init', $_) for $store, $spare;
$t->load($store, line(0));
$t->token($store, project => 'demo', token => $token);
put_link($t, 'store', 'disk/current');
$t->run;

my $load = Exports::Faults->load($t, 2, sub {
    my ($client) = @_;
    my $r = $client->ask($uri, @auth);
    my $total = $r ? total($r) : 0;

    $client->fault('not right: ' . $r->raw)
        if $r && ($r->status != 200
                  || (my @ids = ids($r)) != ($total < 20 ? $total : 20));

    $r = $client->ask('/other/');
    $client->fault('another location: ' . $r->raw)
        if $r && ($r->status != 200 || $r->body ne 'other');
});

sub listed { total($t->get($uri, @auth)) }

for my $round (1 .. $ROUNDS) {
    my $before = listed();
    my $long = join '', map { line("${round}_$_") } 1 .. 8000;

    my ($exit, undef, $err) = $t->ctl('import', $store, '-', '--batch', $BATCH,
                                      { stdin => $long });
    is $exit, 1, "round $round: an import fails";
    like $err, qr/^exportsctl: import: .*disk full/m, 'and says why';
    my ($kept) = $err =~ /lines 1-(\d+) are committed/;
    is(($kept // -1) % $BATCH, 0, 'and what is kept');
    is listed() - $before, $kept, 'which is there';
    like $t->ctl_ok('verify', $store), qr/\b0 faults/, 'the store is sound';

    # what is small may find a page that is free; what is not, does not

    my $there = listed();
    ($exit, undef, $err) = $t->ctl('import', $store, '-', '--atomic',
                                   { stdin => $long });
    is $exit, 1, 'all at once: fails';
    like $err, qr/disk full.*nothing is committed/s, 'and says why';
    is listed(), $there, 'and leaves nothing';

    ($exit, undef, $err) = $t->ctl('backup', $store, "$disk/copy");
    is $exit, 1, 'a copy to the same disk: fails';
    is_deeply [glob "$disk/copy*"], [], 'and leaves nothing';

    # LMDB would write the lock file by its map

    my $lock = 'there is no room for ".*/lock\.mdb": No space left on device';
    unlink "$spare/lock.mdb" or die "unlink: $!";
    fill("$disk/fill");

    ($exit, undef, $err) = $t->ctl('init', "$disk/another");
    is $exit, 1, 'a new store: fails';
    like $err, qr/^exportsctl: init: .*No space left on device$/m,
         'and says why';

    ($exit, undef, $err) = $t->ctl('verify', $spare);
    is $exit, 1, 'a store without a lock file: fails';
    like $err, qr/^exportsctl: verify: $lock$/m, 'and is not called damaged';
    unlink "$disk/fill" or die "unlink: $!";

    # deleting makes room, in the store if not on the disk

    ($exit, undef, $err) = $t->ctl('delete', $store, '--project', 'demo',
                                   map { "exp_${round}_$_" } 1 .. $kept);
    my $room = $exit == 0 ? 'by deleting' : 'by a larger disk';
    mount('-o', 'remount,size=' . 3 * (1 + ++$n) . 'm') if $exit != 0;
    note "round $round: room $room: $err";

    ($exit, undef, $err) = $t->ctl('put', $store, '-',
                                   { stdin => line("${round}_after") });
    is $exit, 0, 'with room it goes on' or diag $err;

    # more than was there

    mount('-o', 'remount,size=' . 3 * (1 + ++$n) . 'm');
    my $now = listed();
    $t->ctl_ok('import', $store, '-', { stdin => join '', map {
        line("${round}_more_$_") } 1 .. 500 });
    is listed() - $now, 500, 'with more space, too';
    ($exit, undef, $err) = $t->ctl('init', "$disk/another");
    is $exit, 0, 'also what failed before' or diag $err;
    like $t->ctl_ok('verify', $_), qr/\b0 faults/, 'the store is sound'
        for $store, $spare;

    unlink glob "$disk/another/*";
    rmdir "$disk/another";
}

no_faults($load->stop, 'clients: each answer is right');
ok !(glob "$disk/*.tmp.*"), 'no files are left behind';

$t->stop;
system 'umount', $disk;
$t->done;
