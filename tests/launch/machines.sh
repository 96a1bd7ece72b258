#!/usr/bin/env bash
# Two machines, left and right, inside this one: each has a name, a network, mounts and a clock
# of its own (namespaces of Linux), a cable between them, and files in common.
#   machines.sh up DIR                     exit code 77: this system does not let us make them
#   machines.sh on DIR HOST COMMAND...     runs it there, as ssh does; mpirun's agent
#   machines.sh cut DIR                    pulls the cable
#   machines.sh down DIR                   ends both and all that runs on them
set -euo pipefail

action=$1 dir=$2
network=10.71.0
pid_of() { cat "$dir/machine-$1"; }
# A command with network, name, mounts and clock of a machine.
into=(-n -u -m -T)
enter() { nsenter -t "$(pid_of "$1")" "${into[@]}" "${@:2}"; }

up() {
  local host number=0
  local -A ahead=([left]=0 [right]=5000)  # seconds, of its clock
  for host in left right; do
    # shellcheck disable=SC2016
    unshare --net --uts --mount --time --monotonic "${ahead[$host]}" --fork sh -c \
      'hostname "$1" && ip link set lo up && echo $$ >"$2.new" && mv "$2.new" "$2" && exec sleep 86400' \
      machine "$host" "$dir/machine-$host" >/dev/null 2>"$dir/machines.log" &
    for ((number = 0; number < 100; ++number)); do
      [[ ! -e $dir/machine-$host ]] || break
      sleep 0.05
    done
    [[ -e $dir/machine-$host ]] || return 77
  done
  enter left ip link add eth0 type veth peer name eth0 netns "$(pid_of right)" || return 77
  printf '%s\n' '127.0.0.1 localhost' "$network.1 left" "$network.2 right" >"$dir/hosts"
  number=0
  for host in left right; do
    number=$((number + 1))
    enter "$host" ip addr add "$network.$number/24" dev eth0 || return 77
    enter "$host" ip link set eth0 up || return 77
    enter "$host" mount --bind "$dir/hosts" /etc/hosts || return 77
  done
}

down() {
  local host space process
  for host in left right; do
    [[ -e $dir/machine-$host ]] || continue
    space=$(readlink "/proc/$(pid_of "$host")/ns/net") || continue
    for process in /proc/[0-9]*; do
      if [[ $(readlink "$process/ns/net" 2>/dev/null) == "$space" ]]; then
        kill -KILL "${process#/proc/}" 2>/dev/null || true
      fi
    done
  done
}

case $action in
  up) up || { down && exit 77; } ;;
  # As ssh does, all words of the command are given to a shell there.
  on) exec nsenter -t "$(pid_of "$3")" "${into[@]}" sh -c "${*:4}" ;;
  cut) enter right ip link set eth0 down ;;
  down) down ;;
esac
