package Exports::Test;

# Runs nginx with the module and exportsctl for one test file: everything in
# a directory of its own, on ports of 127.0.0.1, and gone when the file ends,
# however it ends.
#
#   EXPORTS_TOP         the source tree; default: where this file lies
#   EXPORTS_MODULE      the module to load; empty: it is linked in
#   EXPORTSCTL          the command; default: build/exportsctl
#   TEST_NGINX_BINARY   default: /usr/sbin/nginx
#   TEST_NGINX_LEAVE    set: keep the directory
#   EXPORTS_VARIANT     how each nginx runs: single (no master), workers (four),
#                       aio (threads read files), http2, http3 or tls (get and
#                       request by curl, what is said on a connection as ever),
#                       valgrind (in it, and single)

use warnings;
use strict;

use Cwd ();
use Digest::SHA ();
use Exporter 'import';
use File::Basename ();
use File::Path ();
use File::Temp ();
use IO::Handle ();
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Test::More ();
use Time::HiRes ();
use Time::Local ();

our @EXPORT = qw(
    project_line user_line token_line item_of tie stamp micros json json_text
    keys_of masked is_error is_page ids total wait_for
);

my $TOP = $ENV{EXPORTS_TOP}
          || Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../..');

# how long to wait for what ought to be at once
our $BOUND = 20;

my @live;

$SIG{PIPE} = 'IGNORE';


sub new {
    my ($class, %o) = @_;

    my $self = bless {
        owner => $$,
        dir => File::Temp::tempdir('exports-test-XXXXXXXX', TMPDIR => 1),
        nginx => $ENV{TEST_NGINX_BINARY} || '/usr/sbin/nginx',
        module => $ENV{EXPORTS_MODULE}
                  // "$TOP/build/ngx_http_exports_module.so",
        ctl => $ENV{EXPORTSCTL} || "$TOP/build/exportsctl",
        level => $o{level} || 'info',
        variant => $ENV{EXPORTS_VARIANT} // '',
        single => scalar(($ENV{EXPORTS_VARIANT} // '')
                         =~ /^(?:single|valgrind)\z/),
        allowed => [], faults => [], ports => {}, ntokens => 0, nfiles => 0,
    }, $class;

    # workers run as somebody else, so that permissions are real: what is
    # made below the directory belongs to their group

    if ($> == 0 && !$self->{single}) {
        ($self->{user}) = grep { getpwnam($_) } qw(www-data nginx nobody);
        $self->{gid} = (getpwnam($self->{user}))[3];
        chown -1, $self->{gid}, $self->{dir} or die "chown: $!";
    }

    chmod 02755, $self->{dir} or die "chmod: $!";
    push @live, $self;
    $self->_watch;
    $self->_certificate if $self->_encrypted;

    return $self;
}


# A test that is killed cannot clean up: another process notices by a pipe that
# has no other end any more.
sub _watch {
    my ($self) = @_;

    pipe my $reader, $self->{alive} or die "pipe: $!";
    $self->{watcher} = fork // die "fork: $!";

    return if $self->{watcher};

    # its own end, and those of others that are watched

    close delete $_->{alive} for grep { $_->{alive} } @live;
    POSIX::setsid();
    open $_, '+<', '/dev/null' for \*STDIN, \*STDOUT, \*STDERR;
    $SIG{$_} = 'IGNORE' for qw(INT TERM HUP);
    sysread $reader, my $end, 1;

    if (-d $self->{dir}) {
        ($self->{pid}) = $self->read_file('nginx.pid') =~ /^(\d+)$/;
        kill 'KILL', $self->{pid}, keys %{ $self->children } if $self->{pid};
        File::Path::remove_tree($self->{dir}, { error => \my $ignored });
    }

    POSIX::_exit(0);
}


sub dir { $_[0]{dir} }
sub top { $TOP }

# the account of the workers; undef: our own
sub user { $_[0]{user} }

# to be compared with literals like v1.22.1
sub nginx_version {
    my ($version) = `'$_[0]{nginx}' -v 2>&1` =~ m{/([0-9.]+)};

    return pack 'U*', split /\./, $version;
}


# ---- files -----------------------------------------------------------------

sub path { "$_[0]{dir}/$_[1]" }

sub write_file {
    my ($self, $name, $content) = @_;
    my $path = $name =~ m{^/} ? $name : $self->path($name);

    open my $fh, '>:raw', $path or die "$path: $!";
    print $fh $content;
    close $fh or die "$path: $!";

    return $path;
}

sub read_file {
    my ($self, $name) = @_;
    my $path = $name =~ m{^/} ? $name : $self->path($name);

    open my $fh, '<:raw', $path or return '';
    local $/;

    return scalar(<$fh>) // '';
}

sub error_log { $_[0]->read_file('error.log') }

# Overwrites a text wherever it is in the data file of a store, behind LMDB's
# back; returns at how many places.
sub damage {
    my ($self, $store, $from, $to) = @_;
    my $file = "$store/data.mdb";
    my $data = $self->read_file($file);
    my $places = 0;

    open my $fh, '+<:raw', $file or die "$file: $!";

    while ($data =~ /\Q$from/g) {
        seek $fh, $-[0], 0;
        print $fh $to;
        $places++;
    }

    close $fh or die "$file: $!";

    return $places;
}


# ---- waiting ---------------------------------------------------------------

# The one place that waits: until a condition holds, for at most some seconds.
sub wait_for (&;$) {
    my ($condition, $bound) = @_;
    my $end = Time::HiRes::time() + ($bound // $BOUND);
    my $result;

    while (1) {
        return $result if $result = $condition->();
        return $result if Time::HiRes::time() > $end;
        Time::HiRes::usleep(3000);
    }
}


# ---- nginx -----------------------------------------------------------------

# The configuration, with %%MAIN%%, %%HTTP%%, %%DIR%%, %%PORT%%, %%PORT_x%%
sub conf {
    my ($self, $template) = @_;

    $self->{template} = $template;
    $self->write_file('nginx.conf', $self->_expand($template));

    return $self;
}

# one that nobody listens on is held, so that no other nginx gets it
sub port {
    my ($self, $name) = ($_[0], $_[1] // '');
    my $nobody = $name =~ /^(?:nobody|refused)\z/;

    return $self->{ports}{$name} //= do {
        my $s = $self->_socket($nobody ? () : (Listen => 1));
        push @{ $self->{held} }, $s if $nobody;
        $s->sockport;
    };
}

# On a port below those that the system gives to clients, which may take one
# before nginx binds to it.
sub _socket {
    my ($self, @listen) = @_;
    my %taken = map { $_ => 1 } grep { defined } values %{ $self->{ports} };

    for (1 .. 100) {
        my $port = 10_000 + int rand 22_000;
        next if $taken{$port};

        my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $port, Proto => 'tcp', @listen);
        return $s if $s;
    }

    die "no port: $@";
}

sub _expand {
    my ($self, $text) = @_;
    my $dir = $self->{dir};

    my $main = "pid $dir/nginx.pid; error_log $dir/error.log $self->{level};";
    $main .= " daemon off;" unless $text =~ /^\s*daemon\b/m;
    $main .= " load_module $self->{module};" if $self->{module} ne '';
    $main .= " user $self->{user};" if $self->{user};

    my $http = join ' ', 'default_type text/plain;',
        $text =~ /\baccess_log\b/ ? () : 'access_log off;',
        'client_body_temp_path ' . "$dir/client_body;",
        map { "${_}_temp_path $dir/$_;" } qw(proxy fastcgi uwsgi scgi);

    $main .= $self->_variant_main($text);
    $http .= $self->_variant_http($text);
    $text = $self->_variant_text($text);

    $text =~ s/%%MAIN%%/$main/g;
    $text =~ s/%%HTTP%%/$http/g;
    $text =~ s/%%DIR%%/$dir/g;
    $text =~ s/%%PORT(?:_(\w+))?%%/$self->port($1 \/\/ '')/ge;

    return $text;
}

sub _variant_main {
    my ($self, $text) = @_;

    return ' master_process off;'
        if $self->{single} && $text !~ /\bmaster_process\b/;
    return ' worker_processes 4;'
        if $self->{variant} eq 'workers' && $text !~ /\bworker_processes\b/;
    return '';
}

# how many there have to be at the least
sub _least_workers {
    my ($self) = @_;
    my $text = $self->{template};

    $text .= $self->_variant_main($text);
    return $text =~ /\bworker_processes (\d+)/ ? $1 : 1;
}

sub _variant_http {
    my ($self, $text) = @_;

    # nginx that has reloaded without a master dies of threads when it ends

    return ' aio threads;'
        if $self->{variant} eq 'aio' && $text !~ /\b(?:aio|master_process)\b/;

    my $more = '';

    $more .= " ssl_certificate $self->{dir}/tls.pem;"
             . " ssl_certificate_key $self->{dir}/tls.pem;"
        if $self->_encrypted && $text !~ /\bssl_certificate\b/;

    # so long an old worker may wait for the last packet of a connection

    $more .= ' keepalive_timeout 5s;'
        if $self->{variant} eq 'http3' && $text !~ /\bkeepalive_timeout\b/;

    return $more;
}

sub _encrypted { $_[0]{variant} =~ /^(?:http3|tls)\z/ }

# beside each plain listener one for curl
sub _variant_text {
    my ($self, $text) = @_;
    my $how = { http2 => 'http2', http3 => 'quic', tls => 'ssl' }
              ->{ $self->{variant} };

    # valgrind has no room for the usual 64g

    $text =~ s/\b(exports_store (?!off;)[^;]+);/$1 map_size=1g;/g
        if $self->{variant} eq 'valgrind' && $text !~ /\bmap_size=/;

    return $text if !$how;

    local $self->{reuseport} = {};

    return $text =~ s{(listen[ ]127\.0\.0\.1:)%%PORT(?:_(\w+))?%%([^;]*);}
                     {$self->_beside($1, $2 // '', $3, $how)}ger;
}

sub _beside {
    my ($self, $listen, $name, $rest, $how) = @_;
    my $plain = $listen . $self->port($name) . "$rest;";

    return $plain if $rest =~ /\b(?:ssl|http2|proxy_protocol)\b/;

    # one of several workers would get the packets of another one

    $how .= ' reuseport' if $how eq 'quic' && !$self->{reuseport}{$name}++;

    return "$plain $listen" . $self->port("by_curl_$name") . "$rest $how;";
}

sub _certificate {
    my ($self) = @_;
    my ($exit, undef, $err) = $self->_exec({}, qw(openssl req -x509 -nodes
        -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2 -subj
        /CN=localhost -keyout), $self->path('tls.pem'), '-out',
        $self->path('tls.crt'));

    die "openssl: $err" if $exit != 0;
    $self->write_file('tls.pem', $self->read_file('tls.pem')
                                 . $self->read_file('tls.crt'));
}

sub run {
    my ($self) = @_;

    # a port may be taken between our looking and nginx's binding

    for (1 .. 5) {
        return $self if $self->_start;

        my $log = $self->error_log . $self->read_file('stderr.log');
        die "nginx did not start:\n$log" if $log !~ /bind\(\) .* failed \(98/;

        # not those of listeners that a test has of its own

        delete @{ $self->{ports} }{ $_, "by_curl_$_" } for map { $_ // '' }
            $self->{template} =~ /\blisten\s[^;]*?%%PORT(?:_(\w+))?%%/g;
        $self->write_file('nginx.conf', $self->_expand($self->{template}));
        unlink map { $self->path($_) } 'error.log', 'stderr.log';
    }

    die "no free port";
}

sub _start {
    my ($self) = @_;

    unlink $self->path('nginx.pid');

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $self->path('stderr.log');
        open STDERR, '>&', \*STDOUT;
        $SIG{PIPE} = 'DEFAULT';
        exec $self->_command or POSIX::_exit(127);
    }

    $self->{pid} = $pid;

    # the pid file is written when the ports are bound

    my $up = wait_for {
        if (waitpid($self->{pid}, POSIX::WNOHANG) == $self->{pid}) {
            return -1 if $? || $self->{template} !~ /^\s*daemon\s+on/m;

            # it has left a daemon behind
            ($self->{pid}) = $self->read_file('nginx.pid') =~ /^(\d+)$/;
        }

        return $self->read_file('nginx.pid') eq "$self->{pid}\n"
            && $self->workers >= $self->_least_workers
            && IO::Socket::INET->new(
                   PeerAddr => '127.0.0.1', PeerPort => $self->port);
    };

    if (ref $up) {
        return 1;
    }

    $up = 0 if !$up;
    $up == -1 ? delete $self->{pid} : $self->stop;

    return 0;
}

sub _command {
    my ($self) = @_;
    my $dir = $self->{dir};
    my @under = $self->{variant} ne 'valgrind' ? ()
        : ('valgrind', '-q', '--error-exitcode=99');

    return (@under, $self->{nginx}, '-p', "$dir/", '-c', "$dir/nginx.conf",
            '-e', "$dir/error.log");
}

# nginx -t: (exit status, what it says)
sub check_conf {
    my ($self, $template) = @_;
    my $file = $self->write_file('check.conf', $self->_expand($template));

    my ($exit, $out, $err) = $self->_exec({}, $self->{nginx}, '-t', '-p',
        "$self->{dir}/", '-c', $file, '-e', $self->path('check.log'));

    return ($exit, $out . $err);
}

# the master's children by their titles: { pid => title }
sub children {
    my ($self) = @_;
    my %children;

    for (split ' ', $self->read_file("/proc/$self->{pid}/task/$self->{pid}"
                                     . "/children"))
    {
        my $title = $self->read_file("/proc/$_/cmdline");
        $children{$_} = $1 if $title =~ /^nginx: ([^\0]*?)\s*\0*$/;
    }

    return \%children;
}

# workers that have been initialized and are not about to leave
sub workers {
    my ($self) = @_;
    my $children = $self->children;

    return $self->{pid} if $self->{template} =~ /^\s*master_process\s+off/m
                           || $self->{single};

    my @workers = sort { $a <=> $b }
        grep { $children->{$_} eq 'worker process' } keys %$children;

    return @workers;
}

# new workers serve, the old ones are gone, or leave (gone => 0)
sub reload {
    my ($self, %o) = @_;
    my %old = map { $_ => 1 } $self->workers;
    my $n = keys %old;

    $self->write_file('nginx.conf', $self->_expand($self->{template}));
    kill 'HUP', $self->{pid};

    my $done = wait_for {
        my @new = $self->workers;
        return @new >= $n && !(grep { $old{$_} } @new)
            && (!($o{gone} // 1) || !(grep { $old{$_} }
                                           keys %{ $self->children }));
    };

    die "reload: the workers stayed\n" . $self->error_log if !$done;
}

sub stop {
    my ($self) = @_;
    my $pid = $self->{pid} // return;
    my @pids = ($pid, keys %{ $self->children });

    kill 'QUIT', $pid;

    if (!wait_for { $self->_ended($pid) }) {
        push @{ $self->{faults} }, 'nginx had to be killed';
        kill 'KILL', @pids;
        waitpid $pid, 0;

    } elsif ($?) {
        push @{ $self->{faults} }, "nginx ended with status $?";
    }

    delete $self->{pid};
}

# a master that another one has started is not our child
sub _ended {
    my ($self, $pid) = @_;
    my $ended = waitpid $pid, POSIX::WNOHANG;

    return 1 if $ended == $pid;
    return 0 if $ended == 0;

    $? = 0;
    return $self->read_file("/proc/$pid/stat") !~ /\) [^ZX] /;
}

# how many descriptors a worker has open, sockets left out
sub descriptors {
    my ($self, $pid) = @_;
    return scalar grep { (readlink($_) // '') =~ m{^/} } glob "/proc/$pid/fd/*";
}

# lines of the error log that this test provokes
sub allow_log {
    my ($self, @patterns) = @_;
    push @{ $self->{allowed} }, @patterns;
}

sub log_faults {
    my ($self) = @_;
    my @faults;

    LINE: for (split /\n/, $self->error_log . $self->read_file('stderr.log')) {
        next unless /\[(?:alert|crit|emerg)\]|Sanitizer|runtime\ error
                    |exited\ on\ signal|^==\d+==/x
                 || (/signal/ && !/\[(?:notice|info|debug)\]/);

        for my $pattern (@{ $self->{allowed} }) {
            next LINE if $_ =~ $pattern;
        }

        push @faults, $_;
    }

    return @faults;
}

# The last assertion of every file: all ended in order, nothing bad in the log.
sub done {
    my ($self) = @_;

    $self->stop;

    my @faults = (@{ $self->{faults} }, $self->log_faults);
    splice @faults, 10 if @faults > 10;

    Test::More::ok(!@faults, 'error log is clean, nginx ended in order')
        or Test::More::diag(join "\n", @faults);
    $self->_show_log if !Test::More->builder->is_passing;

    $self->_cleanup;
}

# the end of it, when something has failed
sub _show_log {
    my ($self) = @_;
    my @lines = split /\n/, $self->error_log;

    splice @lines, 0, -30 if @lines > 30;
    Test::More::diag(join "\n", 'error.log ends with:', @lines) if @lines;
}

sub _cleanup {
    my ($self) = @_;

    return if $$ != $self->{owner} || $self->{gone}++;

    if ($ENV{TEST_NGINX_LEAVE}) {
        Test::More::diag("left: $self->{dir}");
        kill 'KILL', $self->{watcher};
    } else {
        File::Path::remove_tree($self->{dir}, { error => \my $ignored });
    }

    close $self->{alive};
    waitpid $self->{watcher}, 0;
}

END {
    my $status = $?;

    for my $t (grep { $$ == $_->{owner} && !$_->{gone} } @live) {
        eval { $t->stop };
        kill 'KILL', keys %{ $t->{background} || {} };
        Test::More::diag($_) for grep { defined } ($t->log_faults)[0 .. 9];
        $t->_show_log if $status || !Test::More->builder->is_passing;
        $t->_cleanup;
    }

    $? = $status;
}

$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);


# ---- exportsctl ------------------------------------------------------------

# The builds of exportsctl to test: also one with sanitizers, if there is one.
sub ctls { grep { defined && length } $_[0]{ctl}, $ENV{EXPORTSCTL_ASAN} }

sub use_ctl {
    my ($self, $ctl) = @_;
    Test::More::note("with $ctl");
    $self->{ctl} = $ctl;
}

# ctl('list', $store, '--json', { stdin => ... }): (exit, stdout, stderr)
sub ctl {
    my ($self, @args) = @_;
    my $o = ref $args[-1] eq 'HASH' ? pop @args : {};
    my @result = $self->_exec($o, $self->{ctl}, @args);

    push @{ $self->{faults} }, "exportsctl @args: $1"
        if $result[2] =~ /^(.*(?:Sanitizer|runtime error).*)$/m;
    push @{ $self->{faults} }, "exportsctl @args: died of signal $result[0]"
        if $result[0] < 0;

    return @result;
}

# the same, for what must succeed; returns stdout
sub ctl_ok {
    my ($self, @args) = @_;
    my ($exit, $out, $err) = $self->ctl(@args);

    pop @args if ref $args[-1];
    die "exportsctl @args: exit $exit\n$err" if $exit != 0;

    return $out;
}

# Runs a program: (exit status, or -signal; stdout; stderr)
sub _exec {
    my ($self, $o, @command) = @_;
    my $n = $self->{nfiles}++;
    my ($in, $out, $err) = map { $self->path("run.$$.$n.$_") } qw(in out err);

    $self->write_file($in, $o->{stdin} // '');

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
        open STDIN, '<', $in;
        open STDOUT, '>', $o->{stdout} // $out;
        _unread() if $o->{unread};
        open STDERR, '>', $err;
        umask $o->{umask} if defined $o->{umask};
        $o->{before}->() if $o->{before};
        exec { $command[0] } @command or POSIX::_exit(127);
    }

    my $status = eval {
        local $SIG{ALRM} = sub { die };
        alarm($o->{bound} // 120);
        waitpid $pid, 0;
        alarm 0;
        $?;
    };

    if (!defined $status) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
        $status = POSIX::SIGKILL();
    }

    my @result = ($status & 127 ? -($status & 127) : $status >> 8,
                  $self->read_file($out), $self->read_file($err));
    unlink $in, $out, $err;

    return @result;
}

# Standard output becomes a pipe that nobody reads: exec() closes the other end.
sub _unread {
    pipe my $reader, my $writer or die "pipe: $!";
    open STDOUT, '>&', $writer;
}

# The thread that holds the write lock of a store: LMDB's mutex in lock.mdb, in the
# second cache line, its owner behind two integers.
sub lock_owner {
    my ($self, $store) = @_;
    return unpack 'l', substr $self->read_file("$store/lock.mdb"), 64 + 8, 4;
}

# Starts exportsctl beside the test, its input a pipe; end it with finish().
sub start_ctl {
    my ($self, @args) = @_;
    my $n = $self->{nfiles}++;
    my ($out, $err) = map { $self->path("run.$$.$n.$_") } qw(out err);

    pipe my $reader, my $writer or die "pipe: $!";
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
        close $writer;
        open STDIN, '<&', $reader;
        open STDOUT, '>', $out;
        open STDERR, '>', $err;
        exec { $self->{ctl} } $self->{ctl}, @args or POSIX::_exit(127);
    }

    $writer->autoflush(1);
    $self->{background}{$pid} = 1;

    return { pid => $pid, in => $writer, out => $out, err => $err };
}

# Closes its input and waits: (exit status, or -signal; stdout; stderr)
sub finish {
    my ($self, $job) = @_;

    close $job->{in} if $job->{in};

    my $status;
    wait_for { $status = $? if waitpid($job->{pid}, POSIX::WNOHANG) > 0;
               defined $status };

    if (!defined $status) {
        kill 'KILL', $job->{pid};
        waitpid $job->{pid}, 0;
        $status = $?;
    }

    delete $self->{background}{ $job->{pid} };

    return ($status & 127 ? -($status & 127) : $status >> 8,
            map { $self->read_file($_) } $job->{out}, $job->{err});
}

# Makes a store and imports lines; returns its path.
sub store {
    my ($self, $name, @lines) = @_;
    my $path = $self->path($name);

    $self->ctl_ok('init', $path);
    $self->load($path, @lines) if @lines;

    return $path;
}

sub load {
    my ($self, $store, @lines) = @_;
    $self->ctl_ok('import', $store, '-', { stdin => join "\n", @lines, '' });
}

# token($store, project => 'demo', admin => 1): stores the hash of a token
# that is made up here, and returns the token
sub token {
    my ($self, $store, %o) = @_;
    my $token = delete $o{token}
                // sprintf 'pat_%d_%s', ++$self->{ntokens}, substr
                       Digest::SHA::sha256_hex("$self->{ntokens} $self"), 0, 24;

    $self->ctl_ok('token', 'import', $store, '-',
                  { stdin => token_line($token, %o) . "\n" });

    return $token;
}


# ---- manifests -------------------------------------------------------------

my $CODEC = JSON::PP->new->utf8->canonical->allow_nonref;

sub json { $CODEC->decode($_[0]) }
sub json_text { $CODEC->encode($_[0]) }

# the keys of an item of the project API, in the order in which it is sent
our @ITEM_KEYS = qw(
    id kind scope project table format download_name download_url
    storage_backend content_type row_count table_count size_bytes status
    status_reason missing_at created_at expires_at
);

# the sample of the API's documentation, changed by the arguments
my %SAMPLE = (
    id => 'exp_20260601_182345_a1b2c3d4e5', kind => 'table_export',
    scope => 'project', project => 'example_project', table => 'contacts',
    format => 'csv', download_name => 'contacts.csv',
    storage_backend => 'local', content_type => 'text/csv; charset=utf-8',
    row_count => 25, table_count => undef, size_bytes => 2048,
    status => 'ready', status_reason => undef, missing_at => undef,
    created_at => '2026-06-02T01:23:45Z', expires_at => undef,
);

my %USER_SAMPLE = (
    user => 42, uuid => '0190a6d2-7b1e-7c3f-9a55-2f6f0f6e1a01',
    type => 'contacts', status => 'ready', filename => 'contacts.csv',
    file_size => 2048, row_count => 25, error_message => undef,
    requested_at => '2026-06-02T01:23:45Z',
    completed_at => '2026-06-02T01:24:00Z', failed_at => undef,
    subject => undef,
);

sub project_line { json_text({ %SAMPLE, @_ }) }
sub user_line { json_text({ %USER_SAMPLE, @_ }) }

sub token_line {
    my ($token, %o) = @_;
    $o{$_} = $o{$_} ? JSON::PP::true : JSON::PP::false
        for grep { exists $o{$_} } qw(admin active);
    return json_text({ sha256 => Digest::SHA::sha256_hex($token), %o });
}

# what the list shows of a manifest made with the same arguments
sub item_of {
    my ($prefix, %o) = @_;
    my %item = (%SAMPLE, %o);

    delete $item{storage_key};
    $item{download_url} =
        "$prefix$item{project}/export/download/$item{id}";

    return \%item;
}

# the order of equal times
sub tie { substr Digest::SHA::sha256($_[0]), 0, 8 }

# microseconds since 1970 as RFC 3339, and back
sub stamp {
    my ($us) = @_;
    my @t = gmtime(int($us / 1_000_000));
    my $fraction = $us % 1_000_000;

    return POSIX::strftime('%Y-%m-%dT%H:%M:%S', @t)
           . ($fraction ? sprintf('.%06d', $fraction) : '') . 'Z';
}

sub micros {
    my ($text) = @_;
    $text =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)(?:\.(\d{1,6}))?Z$/
        or die "not a time: $text";

    return Time::Local::timegm_modern($6, $5, $4, $3, $2 - 1, $1) * 1_000_000
           + substr(($7 // '') . '000000', 0, 6);
}


# ---- requests --------------------------------------------------------------

sub connect {
    my ($self, $port) = @_;
    return Exports::Test::Connection->new($self->port($port));
}

# get('/uri', Header => 'value', ...)
sub get {
    my ($self, $uri, @headers) = @_;
    return $self->request('GET', $uri, @headers);
}

# body => ... sends one, port => ... goes elsewhere; the rest are headers
sub request {
    my ($self, $method, $uri, @headers) = @_;
    my ($port, $body, @rest);

    while (my ($name, $value) = splice @headers, 0, 2) {
        if ($name eq 'port') { $port = $value }
        elsif ($name eq 'body') { $body = $value }
        else { push @rest, $name, $value }
    }

    return $self->_curl($method, $uri, $port, @rest)
        if $self->_for_curl($method, $uri, $port, $body, @rest);

    push @rest, 'Content-Length', length $body if defined $body;

    my $c = $self->connect($port);
    $c->send(request_text($method, $uri, Connection => 'close', @rest),
             $body // '');

    return $c->response($method);
}

# whether there is a listener for curl, and it would send this as it is; over
# HTTP/2 it loses an answer that comes before the end of a body
sub _for_curl {
    my ($self, $method, $uri, $port, $body, @headers) = @_;

    return !defined $body && $self->{ports}{'by_curl_' . ($port // '')}
           && $method !~ /^(?:CONNECT|TRACE)$/ && $uri =~ m{^/[\x21-\x7e]*$}
           && !(grep { !defined || /[^\x20-\x7e]|^(?: |$)| $/ } @headers)
           && !grep { /^(?:Transfer-Encoding|Content-Length|Expect|Host
                        |Connection)$/xi } @headers;
}

sub _curl {
    my ($self, $method, $uri, $port, @headers) = @_;
    my $n = $self->{nfiles}++;
    my ($head, $out) = map { $self->path("curl.$$.$n.$_") } qw(head out);
    my @command = (qw(curl -q -sS -g --max-time), $BOUND, '-D', $head, '-o',
                   $out, '--request-target', $uri);

    push @command, @{ {
        http2 => ['--http2-prior-knowledge'], http3 => [qw(-k --http3-only)],
        tls => [qw(-k --http1.1)],
    }->{ $self->{variant} } };
    push @command, $method eq 'HEAD' ? '-I' : ('-X', $method);

    while (my ($name, $value) = splice @headers, 0, 2) {
        push @command, '-H', "$name: $value";
    }

    my ($exit, undef, $err) = $self->_exec({}, @command,
        '-H', 'Host: localhost', '-H', 'Accept:', '-H', 'User-Agent:',
        ($self->_encrypted ? 'https' : 'http') . '://127.0.0.1:'
        . $self->port('by_curl_' . ($port // '')) . '/');
    my ($raw, $bytes) = map { $self->read_file($_) } $head, $out;
    unlink $head, $out;

    die "curl $method $uri: exit $exit\n$err" if $exit != 0;

    $bytes = '' if $method eq 'HEAD';

    return Exports::Test::Response->of($raw, $bytes);
}

# The bytes of the answer until the server closes.
sub http {
    my ($self, $raw, $port) = @_;
    my $c = $self->connect($port);

    $c->send($raw);

    return $c->rest;
}

sub request_text {
    my ($method, $uri, @headers) = @_;
    my $text = "$method $uri HTTP/1.1\r\nHost: localhost\r\n";

    while (my ($name, $value) = splice @headers, 0, 2) {
        $text .= "$name: $value\r\n";
    }

    return "$text\r\n";
}


# ---- assertions ------------------------------------------------------------

# The keys of a JSON text in the order in which they stand, as paths.
sub keys_of {
    my ($text) = @_;
    my (@path, @keys);
    my $key = '';

    while ($text =~ /("(?:[^"\\]|\\.)*")\s*(:)?|([][{},])/g) {
        if ($2) {
            $key = substr $1, 1, -1;
            push @keys, join '.', grep { $_ ne '' } @path, $key;
        } elsif (defined $3) {
            push @path, $key if $3 eq '{' || $3 eq '[';
            pop @path if $3 eq '}' || $3 eq ']';
            $key = '';
        }
    }

    return @keys;
}

our $REQUEST_ID = qr/req_\d{8}T\d{6}_\d{6}Z_[0-9a-f]{12}/;
our $GENERATED = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/;

# A body without what differs from one answer to the next.
sub masked {
    my ($body) = @_;

    $body =~ s/"request_id":\s*"$REQUEST_ID"/"request_id":"REQ"/;
    $body =~ s/"generated_at":\s*"$GENERATED"/"generated_at":"NOW"/;

    return $body;
}

# What a list says, without a JSON parser, which is slow in Perl: inside of a
# string the quotes would be escaped.
sub ids { $_[0]->body =~ /\{"id":"([^"]+)"/g }
sub total { ($_[0]->body =~ /\],"total":(\d+),"limit":/)[0] // -1 }

# what every answer of the project API must be, faults as a list
sub envelope_faults {
    my ($r) = @_;
    my @faults;
    my $json = $r->json // return 'not JSON: ' . $r->raw;
    my $id = $json->{request_id} // '';

    push @faults, 'content type: ' . ($r->header('Content-Type') // 'none')
        if ($r->header('Content-Type') // '') ne 'application/json';
    push @faults, "request_id: $id" if $id !~ /^$REQUEST_ID\z/;
    push @faults, 'X-Request-Id differs'
        if join(' ', $r->headers('X-Request-Id')) ne $id;
    push @faults, 'generated_at'
        if ($json->{meta}{generated_at} // '') !~ /^$GENERATED\z/;

    my $keys = join ' ', grep { !/\./ } keys_of($r->body);
    push @faults, "keys: $keys"
        if $keys ne 'ok data error request_id meta';

    return @faults;
}

# is_error($r, 404, 'not_found' | qr//, [message,] name)
sub is_error {
    my ($r, $status, $code) = splice @_, 0, 3;
    my $name = pop;
    my ($message) = @_;
    my @faults = envelope_faults($r);
    my $json = $r->json // {};
    my $error = ref $json->{error} ? $json->{error} : {};

    push @faults, 'status: ' . $r->status if $r->status != $status;
    push @faults, 'ok' if !defined $json->{ok} || $json->{ok};
    push @faults, 'data' if defined $json->{data};
    push @faults, 'code: ' . ($error->{code} // 'none')
        if ref $code ? ($error->{code} // '') !~ $code
                     : ($error->{code} // '') ne $code;
    push @faults, 'message: ' . ($error->{message} // 'none')
        if defined $message ? ($error->{message} // '') ne $message
                            : !length($error->{message} // '');
    push @faults, 'keys of error'
        if join(' ', grep { /^error\./ } keys_of($r->body))
           ne 'error.code error.message';
    push @faults, 'cache control: ' . ($r->header('Cache-Control') // 'none')
        if ($r->header('Cache-Control') // '') ne 'no-store';
    push @faults, 'WWW-Authenticate'
        if $status == 401
           && ($r->header('WWW-Authenticate') // '') !~ /^(?:Bearer|Basic)/;

    return Test::More::ok(!@faults, $name)
        || Test::More::diag(join("\n", @faults), "\n", $r->raw);
}

# is_page($r, [ids], { total => 1, ... }, name): a list with these exports
sub is_page {
    my ($r, $ids, $data, $name) = @_;
    my @faults = envelope_faults($r);
    my $json = $r->json // {};
    my $got = ref $json->{data} ? $json->{data} : {};

    push @faults, 'status: ' . $r->status if $r->status != 200;
    push @faults, 'ok' if !$json->{ok};
    push @faults, 'error' if defined $json->{error};
    push @faults, "$_: " . ($got->{$_} // 'none') for
        grep { ($got->{$_} // 'none') ne $data->{$_} } sort keys %$data;

    my @got = map { $_->{id} } @{ $got->{exports} || [] };
    push @faults, "exports: @got[0 .. ($#got < 9 ? $#got : 9)]\n"
                  . "   not: @$ids[0 .. ($#$ids < 9 ? $#$ids : 9)]"
        if "@got" ne "@$ids";

    return Test::More::ok(!@faults, $name)
        || Test::More::diag(join "\n", @faults, substr $r->raw, 0, 2000);
}


# ---- connections -----------------------------------------------------------

package Exports::Test::Connection;

use warnings;
use strict;

sub new {
    my ($class, $port) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port, Proto => 'tcp', Timeout => $BOUND)
        or die "connect to port $port: $@";

    $socket->blocking(0);

    return bless { socket => $socket, in => '', eof => 0 }, $class;
}

sub close { CORE::close($_[0]{socket}) }

# reads while it writes, so that a long pipeline cannot block both sides
sub send {
    my ($self, @data) = @_;
    my $out = join '', @data;

    while (length $out && !$self->{eof}) {
        $self->_wait(length $out);

        my $n = syswrite $self->{socket}, $out;
        if (defined $n) {
            substr $out, 0, $n, '';
        } elsif (!$!{EAGAIN}) {
            last;
        }
    }

    return $self;
}

sub _wait {
    my ($self, $writing) = @_;
    my $s = IO::Select->new($self->{socket});
    my ($readable, $writable) = IO::Select->select($s, $writing ? $s : undef,
                                                   undef, $BOUND);

    die "no answer within $BOUND s; so far: $self->{in}\n" if !$readable;

    if (@$readable) {
        my $n = sysread $self->{socket}, $self->{in}, 65536,
                        length $self->{in};
        $self->{eof} = 1 if defined $n ? $n == 0 : !$!{EAGAIN};
    }
}

sub _until {
    my ($self, $condition) = @_;
    my $result;

    until ($result = $condition->()) {
        return if $self->{eof};
        $self->_wait(0);
    }

    return $result;
}

# whether the server has closed it, or does within the bound
sub closed {
    my ($self) = @_;
    $self->_until(sub { 0 });
    return $self->{eof} && $self->{in} eq '';
}

# everything up to the end
sub rest {
    my ($self) = @_;
    $self->_until(sub { 0 });
    return $self->{in};
}

# One request and its answer.
sub request {
    my ($self, $method, $uri, @headers) = @_;
    $self->send(Exports::Test::request_text($method, $uri, @headers));
    return $self->response($method);
}

sub get { my $self = shift; $self->request('GET', @_) }

# Reads one answer; the method decides whether it has a body.
sub response {
    my ($self, $method) = @_;
    my $r = bless { headers => [], body => '', raw => '', status => 0 },
                  'Exports::Test::Response';

    # 100 (Continue) comes before the answer

    do {
        $self->_until(sub { $self->{in} =~ /\r\n\r\n/ });
        $self->{in} =~ s/^(.*?\r\n\r\n)//s
            or die "no answer: \"$self->{in}\"\n";
        $r->{raw} = $1;
    } while $r->{raw} =~ m{^HTTP/1\.1 100 };

    my ($line, @lines) = split /\r\n/, $r->{raw};
    ($r->{version}, $r->{status}) = $line =~ m{^HTTP/(1\.[01]) (\d{3}) }
        or die "not a status line: $line\n";
    $r->{headers} = [map { /^([^:]+):\s*(.*?)\s*$/ ? [lc $1, $2] : () }
                     @lines];

    return $r if ($method // '') eq 'HEAD' || $r->{status} == 204
                 || $r->{status} == 304;

    my $length = $r->header('Content-Length');

    if (($r->header('Transfer-Encoding') // '') eq 'chunked') {
        $r->{body} = $self->_chunks;
    } elsif (defined $length) {
        $self->_until(sub { length $self->{in} >= $length });
        die "body is short: $self->{in}\n" if length $self->{in} < $length;
        $r->{body} = substr $self->{in}, 0, $length, '';
    } else {
        $r->{body} = $self->rest;
        $self->{in} = '';
    }

    $r->{raw} .= $r->{body};

    return $r;
}

sub _chunks {
    my ($self) = @_;
    my $body = '';

    while (1) {
        $self->_until(sub { $self->{in} =~ /^[0-9a-f]+\r\n/i })
            or die "no chunk: $self->{in}\n";
        $self->{in} =~ s/^([0-9a-f]+)\r\n//i;
        my $n = hex $1;

        $self->_until(sub { length $self->{in} >= $n + 2 })
            or die "chunk is short\n";
        $body .= substr $self->{in}, 0, $n, '';
        substr $self->{in}, 0, 2, '';

        return $body if $n == 0;
    }
}


package Exports::Test::Response;

use warnings;
use strict;

# of the bytes of its head, the last one if there are several, and its body
sub of {
    my ($class, $raw, $body) = @_;
    my ($head) = $raw =~ m{((?:[^\r\n]+\r\n)+)\r\n\z}
        or die "not an answer: $raw\n";
    my ($line, @lines) = split /\r\n/, $head;
    my ($version, $status) = $line =~ m{^HTTP/([0-9.]+) (\d{3}) }
        or die "not a status line: $line\n";

    return bless {
        version => $version, status => $status, body => $body,
        raw => "$head\r\n$body",
        headers => [map { /^([^:]+):\s*(.*?)\s*$/ ? [lc $1, $2] : () } @lines],
    }, $class;
}

sub status { $_[0]{status} }
sub body { $_[0]{body} }
sub raw { $_[0]{raw} }
sub json { eval { Exports::Test::json($_[0]{body}) } }

# the first header of a name; all of them
sub header { (headers(@_))[0] }
sub headers {
    my ($self, $name) = @_;
    return map { $_->[1] } grep { $_->[0] eq lc $name } @{ $self->{headers} };
}

# what all headers of a name list, sorted; in small letters, as nginx writes its
# own over HTTP/3
sub tokens {
    my ($self, $name) = @_;
    return join ' ', sort map { lc } map { split /\s*,\s*/ }
                          $self->headers($name);
}

sub header_names { join ' ', map { $_->[0] } @{ $_[0]{headers} } }

1;
