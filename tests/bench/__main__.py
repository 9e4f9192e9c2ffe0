"""`make bench`: every row, one after the other."""

from tests.bench import bus_overhead, camera_speed, reward_speed, simulator_peers, simulator_speed

if __name__ == "__main__":
    simulator_speed.main()
    camera_speed.main()
    simulator_peers.main()
    reward_speed.main()
    bus_overhead.main()
