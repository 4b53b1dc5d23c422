# The kernel does not tell a worker where its store is, for once: strace makes
# the system call fail.

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use POSIX ();
use Test::More;

use Exports::Faults;
use Exports::Power;
use Exports::Test;

my $missing = Exports::Power::missing();
plan skip_all => $missing if defined $missing;
plan tests => 15;

my $t = Exports::Test->new;

$t->conf(<<'EOC');
%%MAIN%%
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

my $store = $t->store('store', project_line(project => 'demo', id => 'exp_1'));
my @auth = (Authorization => 'Bearer ' . $t->token($store, project => 'demo'));

$t->run;

sub status { $t->get('/projects/demo/exports', @auth)->status }

# while the worker's looks at a file fail so: asks until that has happened
sub while_failing {
    my ($file, $errno, $told, @rest) = @_;
    my ($worker) = $t->workers;
    my $log = $t->path('strace');
    my %seen;

    unlink $log;
    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDERR, '>', '/dev/null';
        exec 'strace', '-qq', '-o', $log, '-p', $worker, '-P', "$store/$file",
             '-e', 'trace=stat,newfstatat', '-e',
             "inject=stat,newfstatat:error=$errno"
            or POSIX::_exit(1);
    }

    my $failed = sub { my $text = $t->read_file($log);
                       return scalar(() = $text =~ /INJECTED/g) };

    wait_for { $seen{ status() }++; $failed->() >= 3 };
    like $t->error_log, $told, "$errno of $file: is told";

    kill 'TERM', $pid;
    waitpid $pid, 0;
    ok wait_for(sub { status() == 200 }), "$errno of $file: and then it is good";
    return join ' ', sort keys %seen;
}

is status(), 200, 'a list';

is while_failing('data.mdb', 'ENOMEM', qr/cannot be looked for: /), '200',
   'no memory to look: the store is used on';
is while_failing('lock.mdb', 'ENOMEM', qr/lock\.mdb": Cannot allocate/), '200',
   'nor to look for its locks';
unlike $t->error_log, qr/store"? (?:was replaced|cannot be used)/,
       'it was not opened again';
like while_failing('data.mdb', 'EACCES', qr/cannot be used: .*data\.mdb/),
     qr/503/, 'permissions: it is not';
like while_failing('lock.mdb', 'EIO', qr/cannot be used: .*lock\.mdb/),
     qr/503/, 'a disk that cannot be read: it is not';

$t->allow_log(qr/cannot be used/);
$t->done;
