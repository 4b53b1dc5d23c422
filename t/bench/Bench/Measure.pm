package Bench::Measure;

# The servers of all cases: started, their answers compared, and sent the same
# requests in turn, round after round.

use warnings;
use strict;

use File::Basename qw(dirname);
use List::Util qw(min uniq);

use Bench::Answers qw(check_answer differs body_of);
use Bench::Load ();
use Bench::Nginx ();
use Bench::Probe qw(longest_request);
use Bench::Servers qw(%SERVERS %PROCESSES file_request);
use Bench::Util qw(
    say_progress read_file write_file make_dir remove_dir execute
);
use Bench::Writer ();


# new(dir, top, ctl, nginx, globals, machine, options, data: name => set,
# cases)
sub new {
    my ($class, %o) = @_;
    my $self = bless { %o, skipped => [] }, $class;

    $self->_leave_out;

    for (@{ $self->{cases} }) {
        $_->{store} = $self->_set($_)->store;
        $_->{www} = "$self->{dir}/www/$_->{name}";
        $_->{code} = $_->{status} // ($_->{conditional} ? 304 : 200);
    }

    return $self;
}

sub _set { $_[0]{data}{$_[1]{data}} }

# [name of a case, why], ...
sub skipped { @{ $_[0]{skipped} } }

sub cases { @{ $_[0]{cases} } }

# What needs a directive or a file that there is not.
sub _leave_out {
    my ($self) = @_;
    my @cases = @{ $self->{cases} };
    my @needs = uniq map { @{ $SERVERS{$_}{needs} // [] } }
                     map { @{ $_->{servers} } } @cases;
    my %missing = map { $_ => 1 } Bench::Servers::missing(
        "$self->{dir}/nginx/try", $self->{nginx}, $self->{globals},
        @needs);
    my $lacks = sub { grep { $missing{$_} } @{ $SERVERS{$_[0]}{needs} // [] } };

    for my $case (@cases) {
        for my $server (grep { $lacks->($_) } @{ $case->{servers} }) {
            push @{ $self->{skipped} },
                 [$case->{name}, $SERVERS{$server}{title},
                  'there is no ' . ($lacks->($server))[0]];
        }

        $case->{servers} = [grep { !$lacks->($_) } @{ $case->{servers} }];
    }
}


# ---- nginx -----------------------------------------------------------------

sub _process {
    my ($self, $name) = @_;
    my $process = $PROCESSES{$name};
    my $globals = $self->{globals};
    my $http = $process->{http} // '';

    $globals =~ s/load_module\s+\S*ngx_http_exports_module\.so;//
        if !$process->{ours};
    $http = $http->("$self->{top}/t/bench") if ref $http;

    return Bench::Nginx->new("$self->{dir}/nginx/$name", $self->{nginx},
                             $self->{machine}->nginx_cpu,
                             $globals . ($process->{globals} // ''), $http,
                             $process->{workers});
}

sub _nginx { $_[0]{processes}{$SERVERS{$_[1]}{process}} }

sub _start {
    my ($self, $servers) = @_;
    my %blocks;

    for my $case ($self->cases) {
        for my $server ($servers->($case)) {
            my $of = $SERVERS{$server};
            $blocks{$of->{process}}{"$case->{name}/$server"} =
                $of->{conf}->($case);
        }
    }

    # as many blocks as ours has, to compare the memory with

    $blocks{bare}{$_} //= "        return 200;\n"
        for keys %{ $blocks{exports} };

    for my $name (sort keys %blocks) {
        $self->{processes}{$name} = $self->_process($name);
        $self->{processes}{$name}->start(%{ $blocks{$name} });
    }
}

sub _stop {
    my ($self) = @_;

    $_->stop for values %{ $self->{processes} };
    $self->{processes} = {};
}

sub workers {
    my ($self) = @_;
    return map { $_ => $self->{processes}{$_}->worker }
           sort keys %{ $self->{processes} };
}


# ---- answers ---------------------------------------------------------------

# Starts all servers, of which each gives the right answers.
sub prepare {
    my ($self) = @_;

    say_progress('checking answers');

    # ours alone first: what the others send is made of its answers

    $self->_start(sub { 'exports' });
    $self->_save_answers($_) for $self->cases;
    $self->_stop;

    $self->_start(sub { uniq @{ $_[0]{servers} }, 'exports' });

    for my $case ($self->cases) {
        $self->_check_server($case, $_)
            for uniq 'exports', @{ $case->{servers} };
    }

    $_->check for values %{ $self->{processes} };
    $self->_prepare_load;

    # nothing that was written is to be written back while we measure

    execute(600, 'sync');
}

sub _answer_file {
    my ($case, $request) = @_;
    return $case->{www} . file_request($request)->{uri};
}

sub _save_answers {
    my ($self, $case) = @_;
    my $data = $self->_set($case);
    my $nginx = $self->_nginx('exports');
    my ($n, $sum) = (0, 0);

    $case->{list} = [$case->{requests}->($data)];
    $case->{reference_list} = [$case->{reference}[1]->($data)]
        if $case->{reference};

    remove_dir($case->{www});

    for my $request (@{ $case->{list} }) {
        my $answer = Bench::Load::fetch($nginx, "$case->{name}/exports",
                                        $request);
        my $file = _answer_file($case, $request);

        check_answer($answer, $request, $n++ < 5);

        $sum += length $answer->{content};
        $case->{type} = $answer->{headers}{'content-type'};
        $case->{first_body} //= $answer->{content};

        make_dir(dirname($file));
        write_file($file, $answer->{content});
    }

    $case->{bytes} = int($sum / $n + 0.5);
}

# the requests of a server: of the case, changed for it
sub _requests {
    my ($case, $server) = @_;
    my $change = $SERVERS{$server}{request} // sub { $_[0] };
    my $etags = $case->{etags}{$server};
    my $n = 0;

    return map {
        my $request = $change->($_);
        $etags ? { %$request,
                   headers => { %{ $request->{headers} },
                                'If-None-Match' => $etags->[$n++] } }
               : $request
    } @{ $case->{$server eq 'reference' ? 'reference_list' : 'list'} };
}

sub _check_server {
    my ($self, $case, $server) = @_;
    my $same = $SERVERS{$server}{same};
    my $nginx = $self->_nginx($server);
    my $name = "$case->{name}/$server";

    $self->_learn_etags($case, $server) if $case->{conditional};

    my @ours = @{ $case->{list} };
    my $least;

    for my $request (_requests($case, $server)) {
        my $answer = Bench::Load::fetch($nginx, $name, $request);
        my $length = length $answer->{content};

        if ($same || $case->{code} == 304) {
            my $body = read_file(_answer_file($case, shift @ours));
            my $fault = differs($answer, [$case->{code}, $case->{type}, $body],
                                $same);

            die "$name: $request->{uri}: $fault\n" if $fault ne '';

        } else {
            check_answer($answer, $request, 0);
        }

        $least = $length if !defined $least || $length < $least;
        $case->{headers}{$server} //= _header_text($answer);
    }

    $case->{least}{$server} = $least;
}

sub _learn_etags {
    my ($self, $case, $server) = @_;
    my $nginx = $self->_nginx($server);

    return if $server eq 'return';

    $case->{etags}{$server} = [map {
        my $answer = Bench::Load::fetch($nginx, "$case->{name}/$server", $_);
        $answer->{headers}{etag} // die "$server: no ETag\n"
    } _requests($case, $server)];
}

sub _header_text {
    my ($answer) = @_;
    my $headers = $answer->{headers};

    return join '', map {
        my $name = $_;
        map { "$name: $_\n" } ref $headers->{$name} ? @{ $headers->{$name} }
                                                    : $headers->{$name}
    } sort keys %$headers;
}


# ---- measuring -------------------------------------------------------------

sub _prepare_load {
    my ($self) = @_;

    $self->{load} = Bench::Load->new("$self->{dir}/requests",
                                     $self->{machine}->load_cpu,
                                     $self->{options}{connections});

    for my $case ($self->cases) {
        $self->{load}->prepare("$case->{name}/$_", _requests($case, $_))
            for @{ $case->{servers} };
    }
}

# the command that sends a server its requests
sub command {
    my ($self, $case, $server) = @_;

    return $self->{load}->command($self->_nginx($server),
                                  "$case->{name}/$server",
                                  $self->{options}{seconds});
}

# True, or what happened is said and the others are none the worse for it.
sub measure {
    my ($self, $case) = @_;
    my $writer = $case->{writer} && $self->_writer($case);

    my $ok = eval {
        $self->_probe($case);
        $self->_rounds($case);
        1;
    };
    my $fault = $@;

    $case->{commits} = $writer->stop if $writer;
    return 1 if $ok;

    say_progress("$case->{name}: $fault");
    push @{ $self->{skipped} }, [$case->{name}, '', $fault =~ s/\n.*//sr];
    $self->{cases} = [grep { $_ != $case } @{ $self->{cases} }];

    return 0;
}

sub _writer {
    my ($self, $case) = @_;

    return Bench::Writer->start($self->{ctl}, $case->{store},
                                $self->{machine}->load_cpu,
                                "$self->{dir}/writer.json",
                                $self->_set($case)->oldest);
}

sub _probe {
    my ($self, $case) = @_;
    my $seconds = $case->{longest} ? $self->{options}{probe} : 0.3;

    for my $server (@{ $case->{servers} }) {
        my ($longest, $n) = longest_request($self->_nginx($server),
            "$case->{name}/$server", $seconds, _requests($case, $server));

        $case->{probe}{$server} = { longest => $longest, requests => $n };
    }
}

sub _rounds {
    my ($self, $case) = @_;
    my $o = $self->{options};
    my @servers = @{ $case->{servers} };

    say_progress("$case->{name}: $o->{rounds} rounds of ", scalar @servers,
                 " x $o->{seconds} s");

    my $run = sub {
        my ($server, $seconds) = @_;
        return $self->{load}->measure($self->_nginx($server),
            "$case->{name}/$server", $seconds, $case->{code},
            $case->{least}{$server});
    };

    if ($o->{warm}) {
        $run->($_, $o->{warm}) for @servers;
    }

    for my $round (1 .. $o->{rounds}) {
        push @{ $case->{samples}{$_} }, $run->($_, $o->{seconds})
            for @servers;

        # who follows whom must not matter

        push @servers, shift @servers;
    }
}

# Bytes of memory of the workers that are of no file; of plain nginx, too,
# which has sent something by now.
sub memory {
    my ($self) = @_;
    my ($case) = grep { grep { $_ eq 'exports' } @{ $_->{servers} } }
                 $self->cases;
    my $bare = $self->{processes}{bare};

    if ($case && !grep { $_ eq 'return' } @{ $case->{servers} }) {
        $self->{load}->measure($bare, "$case->{name}/exports", 1, 200, 0);
    }

    return map { $_ => $self->{processes}{$_}->anonymous }
           grep { $self->{processes}{$_} } qw(bare exports cached);
}

sub finish {
    my ($self) = @_;

    $_->check for values %{ $self->{processes} };
    $self->_stop;
}

1;
