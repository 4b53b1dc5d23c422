# Who may do what to the files: modes whatever the umask, what the group of the
# workers can be denied, backups, tokens that are stored as hashes only.

use warnings;
use strict;

use Digest::SHA qw(sha256);
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Exports::Test;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
worker_processes 2;
events { }
http {
    %%HTTP%%
    exports_store %%DIR%%/store check=10ms;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /projects/ { exports_api project; }
    }
}
EOC

sub mode { sprintf '%04o', (stat $_[0])[2] & 07777 }


# ---- modes, whatever the umask ---------------------------------------------

for my $umask (0, 022, 027, 077, $> == 0 ? 0777 : ()) {
    my $name = sprintf 'umask %03o', $umask;
    my $store = $t->path("store_$umask");

    $t->ctl_ok('init', $store, { umask => $umask });
    $t->ctl_ok('import', $store, '-', { umask => $umask,
               stdin => project_line(project => 'demo') . "\n" });
    $t->ctl_ok('backup', $store, "$store.copy", { umask => $umask });

    is join(' ', map { mode("$_") } $store, "$store/data.mdb",
            "$store/lock.mdb"), '2770 0640 0660', "$name: a store";
    is join(' ', map { mode("$_") } "$store.copy", "$store.copy/data.mdb",
            "$store.copy/lock.mdb"), '2770 0640 0660', "$name: a backup";

    # as README "Users and permissions" has it for a store kept from workers

    chmod 02750, $store or die "chmod: $!";
    chmod 0600, "$store/data.mdb" or die "chmod: $!";
    $t->ctl_ok('backup', $store, "$store.kept", { umask => $umask });

    is join(' ', map { mode("$_") } "$store.kept", "$store.kept/data.mdb"),
       '2750 0600', "$name: a backup of a store with other modes";
}


# ---- tokens ----------------------------------------------------------------

my $store = $t->store('store', project_line(project => 'demo'));
my $token = json($t->ctl_ok('token', 'create', $store, '--project', 'demo',
                            '--json'))->{token};

like $token, qr/^pat_[A-Za-z0-9]{40}\z/, 'a token: 238 bits';

my $data = $t->read_file("$store/data.mdb");
is index($data, $token), -1, 'the store does not have it';
is index($data, substr $token, 4, 12), -1, 'nor a part of it';
cmp_ok index($data, sha256($token)), '>', 0, 'but its hash';

my %seen;
$seen{ json($t->ctl_ok('token', 'create', $store, '--project', 'demo',
                       '--json'))->{token} }++ for 1 .. 20;
is scalar keys %seen, 20, 'no token twice';

for (['token', 'list', $store], ['token', 'list', $store, '--json'],
     ['export', $store, '--tokens'], ['verify', $store], ['stat', $store])
{
    my ($exit, $out, $err) = $t->ctl(@$_);
    is index("$out$err", $token), -1, "not in what \"@$_[0, 1]\" prints";
}


# ---- what the workers' group can be denied ---------------------------------

# once the files are there the directory need not be writable by the group: a
# worker that is not itself any more cannot put other files in their place

chmod 02750, $store or die "chmod: $!";

SKIP: {
    skip 'workers run as another user only when started by root', 6
        if !$t->user;

    $t->run;

    my @auth = (Authorization => "Bearer $token");
    my $list = sub { $t->get('/projects/demo/exports', @auth) };

    is total($list->()), 1, 'a directory of mode 2750 is served';

    $t->load($store, project_line(project => 'demo', id => 'exp_2'));
    is total($list->()), 2, 'and written, by its owner';

    $t->reload;
    is total($list->()), 2, 'after a reload, too';

    my ($uid, $gid) = (getpwnam $t->user)[2, 3];
    my ($before) = (stat "$store/data.mdb")[1];

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        $) = "$gid $gid";
        $( = $gid;
        $< = $> = $uid;

        my $done = open(my $fh, '+<', "$store/data.mdb") ? 1 : 0;
        $done |= 2 if unlink "$store/data.mdb";
        $done |= 4 if rename "$store/data.mdb", "$store/x";
        $done |= 8 if open $fh, '>', "$store/y";
        $done |= 16 if unlink "$store/lock.mdb";
        POSIX::_exit($done);
    }

    waitpid $pid, 0;
    is $? >> 8, 0, 'the workers\' user can change nothing but lock.mdb';
    is((stat "$store/data.mdb")[1], $before, 'the file is the same');
    is total($list->()), 2, 'and is served';
}

$t->done;
done_testing;
