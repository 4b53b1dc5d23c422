# Which files a storage_key leads to: never out of exports_root, whatever lies
# in it, and only regular files.  With openat2() and, where the kernel's filter
# can take it away, without.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Socket;
use Test::More;

use Exports::Test;

plan tests => 142;

my $conf = <<'EOC';
%%MAIN%%
events { }
http {
    %%HTTP%%
    keepalive_requests 100000;
    exports_store %%DIR%%/store;
    server {
        listen 127.0.0.1:%%PORT%%;
        exports_root %%DIR%%/root;
        location /projects/ { exports_api project; }
        location /slashes/ {
            exports_api project;
            exports_root root///;
        }
        location /relative/ { exports_api project; exports_root root; }
        location /link/ { exports_api project; exports_root %%DIR%%/link; }
        location /links/ { exports_api project; exports_root %%DIR%%/up/link; }
        location /missing/ { exports_api project; exports_root %%DIR%%/none; }
        location /file/ { exports_api project; exports_root %%DIR%%/secret; }
        location /closed/ { exports_api project; exports_root %%DIR%%/closed; }
        location /unset/ { exports_api project; exports_root %%DIR%%/root; }
    }
    server {
        listen 127.0.0.1:%%PORT_unset%%;
        location /projects/ { exports_api project; }
    }
}
EOC

# key => what is expected: its bytes, or why it is refused
my @keys = (
    ['plain', 'plain'], ['dir/plain', 'below'], ['dir/sub/plain', 'deepest'],
    ['.hidden', 'hidden'], ['..plain', 'two dots'], ['...', 'three dots'],
    ['./plain', 'plain'], ['dir/./plain', 'below'], ['dir//plain', 'below'],
    ['-rf', 'dash'], ['new\\nline', 'backslash'],
    ["\x{e9}", 'not ascii'], ['a' x 255, 'long'],
    [join('/', ('d') x 60) . '/plain', 'very deep'],

    ['nothing', qr/failed \(2: /], ['dir/nothing', qr/failed \(2: /],
    ['nothing/plain', qr/failed \(2: /], ['plain/plain', qr/failed \(20: /],
    ['plain/', qr/failed \((?:20|2): /], ['a' x 256, qr/failed \(36: /],
    ['dir', qr/not a regular file/], ['dir/', qr/not a regular|failed \(2: /],
    ['.', qr/not a regular file/],
    ['fifo', qr/not a regular file/], ['socket', qr/failed \(6: /],
    ['device', qr/not a regular file/],
    ['unreadable', qr/failed \(13: /], ['shut/plain', qr/failed \(13: /],

    # symlinks that leave, or that are absolute
    ['to_secret', 'out'], ['to_abs_secret', 'out'],
    ['to_outside/secret', 'out'], ['to_abs_outside/secret', 'out'],
    ['to_abs_inside', 'out'],
    ['dir/to_secret', 'out'], ['chain_out', 'out'], ['out_and_back', 'out'],
    ['to_root/etc/passwd', 'out'], ['to_proc/root/etc/passwd', 'out'],
    ['to_fd', 'out'], ['dangling_out', 'out'],
    ['to_etc_hostname', 'out'],

    ['loop', 'loop'], ['self/self/self/plain', 'loop'], ['chain41', 'loop'],
    ['dangling', 'gone'], ['to_fifo', 'irregular'], ['to_dir', 'irregular'],

    # symlinks that stay: as good as files where the kernel says so
    ['to_plain', 'in plain'], ['to_dir/plain', 'in below'],
    ['dir/to_plain', 'in plain'], ['chain_in', 'in plain'],
    ['dir/up/dir/plain', 'in below'], ['chain39', 'in plain'],
    ['around', 'in plain'],
);

my %refused = (
    out => qr/is a symlink out of "exports_root"/,
    loop => qr/failed \(40: /, gone => qr/failed \(2: /,
    irregular => qr/not a regular file/,
);

my $steps = without_openat2();

for my $mode ('openat2', 'steps') {
    SKIP: {
        skip 'no seccomp here', 71 if $mode eq 'steps' && !$steps;
        run_mode($mode);
    }
}

sub run_mode {
    my ($mode) = @_;
    my $t = Exports::Test->new;

    if ($mode eq 'steps') {
        my $program = $steps =~ s/NGINX/$t->{nginx}/gr;
        $t->{nginx} = $t->write_file('nginx', $program);
        chmod 0755, $t->{nginx};
    }

    plant($t);

    my @lines = map { project_line(project => 'demo', id => "exp_$_",
        storage_key => $keys[$_][0]) } 0 .. $#keys;
    my $store = $t->store('store', @lines, map { project_line(
        project => 'demo', id => "exp_$_", storage_key => $_) }
        qw(plain swapped));
    my @auth = (Authorization => 'Bearer ' . $t->token($store,
        project => 'demo', admin => 1));

    my $uri = sub { '/' . ($_[1] // 'projects')
                    . "/demo/export/download/exp_$_[0]" };

    $t->conf($conf)->run;

    my $log = '';
    my $new_log = sub {
        my $all = $t->error_log;
        my $new = substr $all, length $log;
        $log = $all;
        return $new;
    };

    for my $i (0 .. $#keys) {
        my ($key, $expected) = @{ $keys[$i] };
        my $name = "$mode: " . (length($key) > 50 ? substr($key, 0, 40) . '...'
                                                 : $key);
        utf8::encode($name);
        my $r = $t->get($uri->($i), @auth);
        my $said = $new_log->();

        if (!ref $expected && $expected =~ /^in (.*)/) {
            if ($mode eq 'openat2') {
                is $r->body, "$1\n", $name;
            } else {
                is_error $r, 404, 'not_found', "$name: no symlinks";
            }

        } elsif (!ref $expected && !$refused{$expected}) {
            is $r->body, "$expected\n", $name or diag $said;

        } else {
            my $pattern = ref $expected ? $expected : $refused{$expected};
            $pattern = qr/\[error\]/ if $mode eq 'steps' && !ref $expected;
            my @faults = grep { $_ } $r->status != 404 && $r->status,
                $r->raw =~ /secret|root:/ && 'leaked',
                ($r->header('Content-Type') // '') ne 'application/json'
                    && 'not JSON',
                $said !~ $pattern && "said: $said";
            is "@faults", '', $name;
        }
    }

    like $t->error_log, qr{\Q@{[$t->path('root/nothing')]}\E"},
         "$mode: messages name the file";

    # roots

    is $t->get($uri->('plain', $_), @auth)->body, "plain\n", "$mode: root $_"
        for qw(slashes relative link links);
    is_error $t->get($uri->('plain', $_), @auth), 404, 'not_found',
             "$mode: root $_" for qw(missing file closed);
    $new_log->();
    is_error $t->get($uri->('plain'), @auth, port => 'unset'), 404,
             'not_found', "$mode: no root";
    like $new_log->(), qr/\[error\] .*no "exports_root" for the local/,
         "$mode: no root: logged";

    # a root that is replaced, and one behind a symlink

    mkdir $t->path('root2');
    $t->write_file('root2/plain', "another\n");
    symlink 'root2', $t->path('link2');
    rename $t->path('link2'), $t->path('link');
    is $t->get($uri->('plain', 'link'), @auth)->body, "another\n",
       "$mode: the symlink leads elsewhere";
    rename $t->path('root'), $t->path('root1');
    is $t->get($uri->('plain'), @auth)->status, 404, "$mode: the root is gone";
    rename $t->path('root2'), $t->path('root');
    is $t->get($uri->('plain'), @auth)->body, "another\n",
       "$mode: another is in its place";

    # a name that is a file, a directory and a symlink out, by turns

    my $turns = turns($t);
    my %seen;
    my $c = $t->connect;
    for (1 .. 1500) {
        my $r = $c->get($uri->('swapped'), @auth);
        $seen{ $r->status . ' ' . ($r->status == 200 ? $r->body : '') }++;
    }
    $c->close;
    kill 'KILL', $turns;
    waitpid $turns, 0;
    note "$mode: @{[%seen]}";
    is_deeply [grep { !/^(?:200 inside\n|404 )\z/ } keys %seen], [],
              "$mode: never out, whatever is renamed";
    is $t->get($uri->('plain'), @auth)->body, "another\n",
       "$mode: nginx goes on";

    # nothing stays open; the last file closes when its answer was read

    my ($worker) = $t->workers;
    my @open;
    wait_for {
        @open = grep { defined($_) && m{/root|\(deleted\)} }
            map { readlink } glob "/proc/$worker/fd/*";
        return !@open;
    };
    is "@open", '', "$mode: nothing stays open";

    chmod 0755, map { $t->path($_) } 'root1/shut', 'closed';
    $t->done;
}

sub plant {
    my ($t) = @_;

    mkdir $t->path($_) or die "$_: $!"
        for qw(root root/dir root/dir/sub root/shut outside closed up);

    my $deep = 'root';
    mkdir $t->path($deep .= '/d') for 1 .. 60;

    my %files = (
        plain => 'plain', 'dir/plain' => 'below', 'dir/sub/plain' => 'deepest',
        '.hidden' => 'hidden', '..plain' => 'two dots', '...' => 'three dots',
        '-rf' => 'dash', 'new\\nline' => 'backslash',
        "\xc3\xa9" => 'not ascii', 'a' x 255 => 'long',
        'd/' x 60 . 'plain' => 'very deep',
        unreadable => 'secret', 'shut/plain' => 'secret',
    );
    $t->write_file("root/$_", "$files{$_}\n") for keys %files;
    $t->write_file($_, "secret\n") for qw(secret outside/secret closed/plain);

    chmod 0, map { $t->path($_) } qw(root/unreadable root/shut closed);

    POSIX::mkfifo($t->path('root/fifo'), 0644) or die "fifo: $!";
    socket my $socket, AF_UNIX, SOCK_STREAM, 0;
    bind $socket, pack_sockaddr_un($t->path('root/socket')) or die "bind: $!";

    # a device needs root; without it a directory will do

    my $device = $t->path('root/device');
    system("mknod -m 0644 $device c 1 3 2>/dev/null");

    # nor is one of use on a file system without devices

    if (!open my $fh, '<', $device) {
        unlink $device;
        mkdir $device or die "mkdir: $!";
    }

    my $dir = $t->dir;
    my %links = (
        to_secret => '../secret', to_abs_secret => "$dir/secret",
        to_outside => '../outside', to_abs_outside => "$dir/outside",
        to_abs_inside => "$dir/root/plain", 'dir/to_secret' => '../../secret',
        chain_out => 'chain_out2', chain_out2 => 'dir/chain_out3',
        'dir/chain_out3' => '../to_secret', out_and_back => '../root/plain',
        to_root => '/', to_proc => '/proc/self', to_fd => '/proc/self/fd/0',
        to_etc_hostname => '../' x 20 . 'etc/hostname',
        dangling => 'nowhere', dangling_out => '../nowhere',
        loop => 'loop', self => 'self/self', to_fifo => 'fifo',
        to_dir => 'dir', to_plain => 'plain', 'dir/to_plain' => '../plain',
        'dir/up' => '..', chain_in => 'dir/chain_in2',
        'dir/chain_in2' => 'sub/chain_in3',
        'dir/sub/chain_in3' => '../../plain',
        around => 'dir/sub/../../dir/.././plain',
        chain1 => 'plain', map { +"chain$_" => 'chain' . ($_ - 1) } 2 .. 41,
    );
    symlink $links{$_}, $t->path("root/$_") or die "$_: $!" for keys %links;

    symlink 'root', $t->path('link');
    symlink '../link', $t->path('up/link');
}

# renames as fast as it can, until it is killed
sub turns {
    my ($t) = @_;
    my $swapped = $t->path('root/swapped');
    my @ways = map { $t->path("way$_") } 0 .. 2;

    $t->write_file($ways[0], "inside\n");
    symlink '../secret', $ways[1];
    mkdir $ways[2];

    my $parent = $$;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;

    # a copy of each in turn: a link cannot be renamed over a directory

    while (getppid == $parent) {
        for my $way (@ways) {
            rename $way, $swapped;
            rename $swapped, $way;
        }
    }

    POSIX::_exit(0);
}

# A program that runs nginx without openat2(); undef: it cannot be done here.
sub without_openat2 {
    my $machine = (POSIX::uname())[4];
    my $prctl = { x86_64 => 157, aarch64 => 167 }->{$machine} // return;

    my $program = <<"EOP" =~ s/PRCTL/$prctl/gr;
#!$^X
# ENOSYS for system call 437, openat2(); everything else is allowed
my \$filter = join '', map { pack 'SCCL', \@\$_ }
    [0x20, 0, 0, 0], [0x15, 0, 1, 437], [0x06, 0, 0, 0x00050000 | 38],
    [0x06, 0, 0, 0x7fff0000];
my \$program = pack 'Sx![P]P', length(\$filter) / 8, \$filter;
syscall(PRCTL, 38, 1, 0, 0, 0) == 0 && syscall(PRCTL, 22, 2, \$program) == 0
    or exit 99;
exec {'NGINX'} 'NGINX', \@ARGV or exit 98;
EOP

    my ($fh, $file) = File::Temp::tempfile(UNLINK => 1);
    print $fh $program =~ s/NGINX/\/bin\/true/gr;
    close $fh;

    return system($^X, $file) == 0 ? $program : undef;
}
