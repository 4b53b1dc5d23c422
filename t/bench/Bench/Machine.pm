package Bench::Machine;

# What the numbers were measured on, and which of its CPUs do what.

use warnings;
use strict;

use POSIX ();

use Bench::Util qw(read_file output_of say_progress);

sub new {
    my ($class, $nginx, $ctl, $top) = @_;
    my $self = bless { nginx => $nginx, ctl => $ctl, top => $top }, $class;

    $self->_choose_cpus;

    return $self;
}

sub nginx_cpu { $_[0]{cpus}[0] }
sub load_cpu { $_[0]{cpus}[1] }

# two that we may use, on different cores if there are any such
sub _choose_cpus {
    my ($self) = @_;
    my ($list) = (read_file('/proc/self/status') // '')
                     =~ /^Cpus_allowed_list:\s*(\S+)/m;
    my @cpus = map { /^(\d+)-(\d+)$/ ? $1 .. $2 : $_ }
               split /,/, $list // '';

    if (@cpus < 2) {
        say_progress('one CPU only: nginx and wrk must share it');
        $self->{cpus} = [];
        return;
    }

    my $first = shift @cpus;
    my $core = _core($first);
    my ($second) = grep { _core($_) ne $core } @cpus;

    if (!defined $second) {
        say_progress('one core only: nginx and wrk share it');
        $second = $cpus[0];
    }

    $self->{cpus} = [$first, $second];
}

sub _core {
    my ($cpu) = @_;
    my $dir = "/sys/devices/system/cpu/cpu$cpu/topology";

    return read_file("$dir/thread_siblings_list") // $cpu;
}

# of a package of Debian's
sub _version {
    my ($package) = @_;
    return output_of('sh', '-c', 'dpkg-query -W -f \'${Version}\' "$1" '
                                 . '2>/dev/null', 'sh', $package);
}

# [what, value], ...
sub facts {
    my ($self, $dir) = @_;
    my $cpuinfo = read_file('/proc/cpuinfo') // '';
    my ($model) = $cpuinfo =~ /^model name\s*:\s*(.*)$/m;
    my $cores = () = $cpuinfo =~ /^processor\s*:/mg;
    my ($memory) = (read_file('/proc/meminfo') // '')
                       =~ /^MemTotal:\s*(\d+)/m;
    my ($system) = (read_file('/etc/os-release') // '')
                       =~ /^PRETTY_NAME="?([^"\n]*)/m;
    my ($sysname, undef, $release, undef, $arch) = POSIX::uname();
    my ($version) = $release =~ /^(\d[\d.]*)/;
    my ($wrk) = output_of('sh', '-c', 'wrk --version 2>&1')
                    =~ /^wrk (\S+)/m;
    my ($nginx) = output_of('sh', '-c', '"$1" -v 2>&1', 'sh', $self->{nginx})
                      =~ m{nginx/(.*)};
    my ($ours) = output_of($self->{ctl}, '--version') =~ /^(.*)$/m;
    my $commit = output_of('sh', '-c', 'git -C "$1" describe --always '
                                       . '--dirty 2>/dev/null', 'sh',
                           $self->{top});
    my ($files) = output_of('df', '--output=fstype', $dir) =~ /\n(.*)$/m;

    my @facts = (
        ['date', POSIX::strftime('%Y-%m-%d %H:%M UTC', gmtime)],
        ['CPU', ($model // $arch)
                . ($cpuinfo =~ /\bhypervisor\b/ ? ', a virtual machine' : '')],
        ['cores', $cores . (defined $self->nginx_cpu
            ? '; nginx on ' . $self->nginx_cpu . ', wrk on ' . $self->load_cpu
            : '; nginx and wrk share it')],
        ['memory', sprintf '%.0f GB', ($memory // 0) / 1e6],
        ['kernel', "$sysname @{[ $version // $release ]} $arch"],
        ['system', $system],
        ['file system', $files],
        ['nginx', $nginx],
        ['liblmdb', _version('liblmdb0')],
        ['Lua module', _version('libnginx-mod-http-lua')],
        ['LuaJIT', _version('libluajit-5.1-2')],
        ['wrk', $wrk],
        ['ours', $ours],
        ['commit', $commit =~ s/\s+\z//r],
    );

    return grep { defined $_->[1] && $_->[1] ne '' } @facts;
}

1;
